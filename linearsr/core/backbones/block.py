"""One block: attention, cross-attention, feed-forward, each added to what came in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from linearsr.core.backbones.cross_attention import CrossAttention, CrossTokens
from linearsr.core.backbones.modulation import gated_residual, modulated_norm, scale_shift_table
from linearsr.core.registries import ATTENTION, FEED_FORWARDS


class LinearBlock(nn.Module):
    """x += gate·Attention(LN(x)·(1+scale)+shift); x += Cross(x, y); x += gate·FeedForward(LN(x)·(1+scale)+shift) (Sana).

    cross: CrossAttention's options, None without guidance.
    """

    compile_alone = True  # all blocks of a denoiser are alike and share what is compiled for one

    def __init__(
        self,
        dim: int,
        num_heads: int,
        attention: Mapping[str, Any],
        feed_forward: Mapping[str, Any],
        cross: Mapping[str, Any] | None,
    ):
        super().__init__()
        self.scale_shift_table = scale_shift_table(6, dim)
        self.attention = ATTENTION.build(attention, dim=dim, num_heads=num_heads)
        self.cross_attention = None if cross is None else CrossAttention(dim, **cross)
        self.feed_forward = FEED_FORWARDS.build(feed_forward, dim=dim)

    def modulation(self, shared: Tensor) -> Tensor:
        """shared [T, 6·D], the time block's output -> [6, T, D]: shift, scale, gate; attention first."""
        return self.scale_shift_table[:, None] + shared.unflatten(-1, (6, -1)).transpose(0, 1)

    def forward(self, x: Tensor, grid: tuple[int, int], modulation: Tensor, cross: CrossTokens | None) -> Tensor:
        """x [B, N, D]; modulation [6, B or 1, D]. Returns [B, N, D]."""
        shift, scale, gate, shift_ffn, scale_ffn, gate_ffn = modulation.unbind(0)
        x = gated_residual(x, gate, self.attention(modulated_norm(x, shift, scale), grid))
        if self.cross_attention is not None and cross is not None:
            x = x + self.cross_attention(x, cross)
        return gated_residual(x, gate_ffn, self.feed_forward(modulated_norm(x, shift_ffn, scale_ffn), grid))
