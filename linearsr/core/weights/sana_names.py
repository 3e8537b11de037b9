"""One parameter, three names: ours, diffusers' SanaTransformer2DModel's and the original Sana's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

OUTSIDE_BLOCKS: dict[str, tuple[str, str]] = {
    "patch_embed": ("patch_embed.proj", "x_embedder.proj"),
    "time_embed.linear_1": ("time_embed.emb.timestep_embedder.linear_1", "t_embedder.mlp.0"),
    "time_embed.linear_2": ("time_embed.emb.timestep_embedder.linear_2", "t_embedder.mlp.2"),
    "time_block": ("time_embed.linear", "t_block.1"),
    "guidance_projection.linear_1": ("caption_projection.linear_1", "y_embedder.y_proj.fc1"),
    "guidance_projection.linear_2": ("caption_projection.linear_2", "y_embedder.y_proj.fc2"),
    "guidance_projection.norm": ("caption_norm", "attention_y_norm"),
    "head": ("proj_out", "final_layer.linear"),
    "scale_shift_table": ("scale_shift_table", "final_layer.scale_shift_table"),
}
"""ours -> (diffusers, original). What follows the name, ".weight" or ".bias", is the same everywhere."""

IN_A_BLOCK: dict[str, tuple[str, str]] = {
    "scale_shift_table": ("scale_shift_table", "scale_shift_table"),
    "attention.qkv": ("attn1.to_q|attn1.to_k|attn1.to_v", "attn.qkv"),
    "attention.proj": ("attn1.to_out.0", "attn.proj"),
    "attention.q_norm": ("attn1.norm_q", "attn.q_norm"),
    "attention.k_norm": ("attn1.norm_k", "attn.k_norm"),
    "cross_attention.query": ("attn2.to_q", "cross_attn.q_linear"),
    "cross_attention.key_value": ("attn2.to_k|attn2.to_v", "cross_attn.kv_linear"),
    "cross_attention.proj": ("attn2.to_out.0", "cross_attn.proj"),
    "cross_attention.q_norm": ("attn2.norm_q", "cross_attn.q_norm"),
    "cross_attention.k_norm": ("attn2.norm_k", "cross_attn.k_norm"),
    "feed_forward.expand": ("ff.conv_inverted", "mlp.inverted_conv.conv"),
    "feed_forward.depthwise": ("ff.conv_depth", "mlp.depth_conv.conv"),
    "feed_forward.contract": ("ff.conv_point", "mlp.point_conv.conv"),
}
"""As above; names joined by | are stacked into one."""

DROPPED = re.compile(r"^(y_embedder\.y_embedding|pos_embed|patch_embed\.pos_embed|logvar_linear\..*)$")
"""In a Sana file and of no use here: the null caption, fixed positions, the loss's uncertainty head."""


@dataclass(frozen=True)
class Naming:
    """column: of the tables; blocks: prefix of the blocks; sign: a name that only this naming has."""

    column: int
    blocks: str
    sign: str

    def sources(self, ours: str) -> list[str]:
        """The names that make up our parameter, in the order in which they are stacked; empty for one that Sana lacks."""
        block = re.match(r"blocks\.(\d+)\.", ours)
        prefix = f"{self.blocks}.{block[1]}." if block else ""
        rest = ours[block.end() :] if block else ours
        table = IN_A_BLOCK if block else OUTSIDE_BLOCKS
        for stem, names in table.items():
            if rest == stem or rest.startswith(f"{stem}."):
                return [prefix + name + rest[len(stem) :] for name in names[self.column].split("|")]
        return []


NAMINGS = (Naming(0, "transformer_blocks", "patch_embed.proj.weight"), Naming(1, "blocks", "x_embedder.proj.weight"))


def naming_of(state: Mapping[str, object]) -> Naming | None:
    return next((naming for naming in NAMINGS if naming.sign in state), None)
