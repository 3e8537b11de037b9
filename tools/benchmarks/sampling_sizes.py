"""How large the models and pictures of the sampling benchmark are: diffusers' keys of Sana's transformers and DC-AE."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sana_pair import NARROW, SANA_600M

SANA_1600M = SANA_600M | {
    "num_attention_heads": 70, "num_cross_attention_heads": 20, "cross_attention_head_dim": 112, "cross_attention_dim": 2240,
}  # fmt: skip
DC_AE = {
    "latent_channels": 32, "attention_head_dim": 32, "scaling_factor": 0.41407,
    "encoder_block_types": ("ResBlock",) * 3 + ("EfficientViTBlock",) * 3,
    "decoder_block_types": ("ResBlock",) * 3 + ("EfficientViTBlock",) * 3,
    "encoder_block_out_channels": (128, 256, 512, 512, 1024, 1024),
    "decoder_block_out_channels": (128, 256, 512, 512, 1024, 1024),
    "encoder_layers_per_block": (2, 2, 2, 3, 3, 3), "decoder_layers_per_block": (3,) * 6,
    "encoder_qkv_multiscales": ((), (), (), (5,), (5,), (5,)), "decoder_qkv_multiscales": ((), (), (), (5,), (5,), (5,)),
    "downsample_block_type": "Conv", "upsample_block_type": "interpolate",
    "decoder_norm_types": "rms_norm", "decoder_act_fns": "silu",
}  # fmt: skip
"""f32c32 as Sana uses it."""
SMALL_AE = DC_AE | {
    "latent_channels": 8, "attention_head_dim": 8, "encoder_block_types": ("ResBlock", "EfficientViTBlock"),
    "decoder_block_types": ("ResBlock", "EfficientViTBlock"), "encoder_block_out_channels": (16, 16),
    "decoder_block_out_channels": (16, 16), "encoder_layers_per_block": (1, 1), "decoder_layers_per_block": (1, 1),
    "encoder_qkv_multiscales": ((), (5,)), "decoder_qkv_multiscales": ((), (5,)),
}  # fmt: skip


@dataclass(frozen=True)
class Model:
    """config, depth: diffusers' keys and blocks; side: tokens of a picture; large: of a large one, or None; batches: pictures
    of training steps."""

    name: str
    config: Mapping[str, Any]
    depth: int
    side: int
    large: int | None = None
    batches: tuple[int, ...] = ()


Plan = tuple[tuple[Model, ...], Mapping[str, Any]]
"""Models, and the keys of the autoencoder."""
FULL: Plan = ((Model("0.6B", SANA_600M, 28, 32, 128, (32, 8)), Model("1.6B", SANA_1600M, 20, 32)), DC_AE)
TINY: Plan = ((Model("tiny", NARROW, 2, 8, 16, (3, 2)),), SMALL_AE)
