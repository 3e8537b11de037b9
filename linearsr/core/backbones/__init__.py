"""Denoisers and their parts."""

from linearsr.core.backbones.gated_conv_ffn import GatedConvFeedForward
from linearsr.core.backbones.linear_dit import LinearDiT
from linearsr.core.backbones.lr_stem import ConvStem
from linearsr.core.backbones.prepared import Prepared
from linearsr.core.backbones.tiling import sharded_over

__all__ = ["ConvStem", "GatedConvFeedForward", "LinearDiT", "Prepared", "sharded_over"]
