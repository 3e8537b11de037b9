"""Small SanaTransformer2DModels of diffusers, and their state in the original Sana's naming."""

import re

import torch
from torch import Tensor

SMALL = {
    "in_channels": 8, "out_channels": 8, "num_attention_heads": 2, "attention_head_dim": 8, "num_layers": 2,
    "num_cross_attention_heads": 2, "cross_attention_head_dim": 8, "cross_attention_dim": 16, "caption_channels": 12,
    "sample_size": 8,
}  # fmt: skip
WIDE = SMALL | {
    "num_attention_heads": 3, "attention_head_dim": 32, "num_layers": 4, "num_cross_attention_heads": 4,
    "cross_attention_head_dim": 24, "cross_attention_dim": 96, "caption_channels": 40, "in_channels": 32, "out_channels": 32,
}  # fmt: skip
QK_NORM = {"qk_norm": "rms_norm_across_heads"}

TO_ORIGINAL = [
    (r"^patch_embed\.proj", "x_embedder.proj"),
    (r"^caption_projection\.linear_", "y_embedder.y_proj.fc"),
    (r"^time_embed\.emb\.timestep_embedder\.linear_1", "t_embedder.mlp.0"),
    (r"^time_embed\.emb\.timestep_embedder\.linear_2", "t_embedder.mlp.2"),
    (r"^time_embed\.linear", "t_block.1"),
    (r"^caption_norm", "attention_y_norm"),
    (r"^proj_out", "final_layer.linear"),
    (r"^scale_shift_table", "final_layer.scale_shift_table"),
    (r"^transformer_blocks", "blocks"),
    (r"attn1\.to_out\.0", "attn.proj"),
    (r"attn1\.norm_([qk])", r"attn.\1_norm"),
    (r"attn2\.to_q", "cross_attn.q_linear"),
    (r"attn2\.to_out\.0", "cross_attn.proj"),
    (r"attn2\.norm_([qk])", r"cross_attn.\1_norm"),
    (r"ff\.conv_inverted", "mlp.inverted_conv.conv"),
    (r"ff\.conv_depth", "mlp.depth_conv.conv"),
    (r"ff\.conv_point", "mlp.point_conv.conv"),
]
"""Written from the published conversion the other way round, apart from the tables under test."""


def reference(config: dict, seed: int = 0):
    """A diffusers model whose norms, biases and tables are not at their initial constants, so that a mix-up shows."""
    from diffusers import SanaTransformer2DModel

    torch.manual_seed(seed)
    model = SanaTransformer2DModel(**config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    return model


def original_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """diffusers' names -> the original's, with the extras that an original file carries."""
    out: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if re.search(r"attn1\.to_[kv]|attn2\.to_v", name):
            continue
        if "attn1.to_q." in name:
            tensor = torch.cat([state[name.replace("to_q", f"to_{part}")] for part in "qkv"])
            name = name.replace("attn1.to_q", "attn.qkv")
        elif "attn2.to_k." in name:
            tensor = torch.cat([tensor, state[name.replace("to_k", "to_v")]])
            name = name.replace("attn2.to_k", "cross_attn.kv_linear")
        for pattern, replacement in TO_ORIGINAL:
            name = re.sub(pattern, replacement, name)
        out[name] = tensor
    return out | {
        "y_embedder.y_embedding": torch.zeros(300, 12),
        "pos_embed": torch.zeros(1, 4, 16),
        "logvar_linear.weight": torch.zeros(1, 16),
    }
