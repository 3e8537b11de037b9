"""One block: attention, cross-attention, feed-forward, each added to what came in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from linearsr.core.backbones.cross_attention import CrossAttention, CrossTokens
from linearsr.core.backbones.modulation import gated_residual, modulated_norm, scale_shift_table
from linearsr.core.errors import ConfigError
from linearsr.core.registries import ATTENTION, FEED_FORWARDS


class LinearBlock(nn.Module):
    """x += gate·Attention(LN(x)·(1+scale)+shift); x += Cross(x, y); x += gate·FeedForward(LN(x)·(1+scale)+shift) (Sana).

    layer: its index, offered to the attention; cross: CrossAttention's options, None without guidance.
    Its stages, `normed`, `attended` and `fed`, are methods of their own, so that tiles and ranks run what one picture does.
    """

    compile_alone = True  # all blocks of a denoiser are alike and share what is compiled for one

    def __init__(
        self,
        dim: int,
        num_heads: int,
        attention: Mapping[str, Any],
        feed_forward: Mapping[str, Any],
        cross: Mapping[str, Any] | None,
        layer: int = 0,
    ):
        super().__init__()
        self.scale_shift_table = scale_shift_table(6, dim)
        self.attention = ATTENTION.build(attention, dim=dim, num_heads=num_heads, layer=layer)
        self.cross_attention = None if cross is None else CrossAttention(dim, **cross)
        self.feed_forward = FEED_FORWARDS.build(feed_forward, dim=dim)

    def modulation(self, shared: Tensor) -> Tensor:
        """shared [T, 6·D], the time block's output -> [6, T, D]: shift, scale, gate; attention first."""
        return self.scale_shift_table[:, None] + shared.unflatten(-1, (6, -1)).transpose(0, 1)

    def forward(self, x: Tensor, grid: tuple[int, int], modulation: Tensor, cross: CrossTokens | None) -> Tensor:
        """x [B, N, D]; modulation [6, B or 1, D]. Returns [B, N, D]."""
        x = self.attended(x, self.attention(self.normed(x, modulation), grid), modulation, cross)
        return self.fed(x, grid, modulation)

    def normed(self, x: Tensor, modulation: Tensor) -> Tensor:
        """x [B, N, D] as the attention sees it."""
        return modulated_norm(x, *modulation[:2].unbind(0))

    def attended(self, x: Tensor, update: Tensor, modulation: Tensor, cross: CrossTokens | None) -> Tensor:
        """x and what the attention says of it, [B, N, D] -> [B, N, D], guidance looked at."""
        x = gated_residual(x, modulation[2], update)
        return x if self.cross_attention is None or cross is None else x + self.cross_attention(x, cross)

    def fed(self, x: Tensor, grid: tuple[int, int], modulation: Tensor) -> Tensor:
        """x [B, N, D] -> [B, N, D], through the feed-forward."""
        shift, scale, gate = modulation[3:].unbind(0)
        return gated_residual(x, gate, self.feed_forward(modulated_norm(x, shift, scale), grid))


def attention_of_each_block(attention: Mapping[str, Any] | Sequence[Mapping[str, Any]], depth: int) -> list[Mapping[str, Any]]:
    """One attention per block: a pattern is repeated from the first block on. Raises ConfigError."""
    if isinstance(attention, Mapping):
        return [attention] * depth
    if isinstance(attention, str) or not isinstance(attention, Sequence):
        raise ConfigError(
            f"denoiser.attention is {attention!r}; wanted dict(type=…) or a list of them; change denoiser.attention"
        )
    if not 1 <= len(attention) <= depth:
        raise ConfigError(
            f"denoiser.attention is a list of {len(attention)} for depth={depth} blocks; wanted between 1 and {depth}: "
            "it is repeated over the blocks"
        )
    return [attention[layer % len(attention)] for layer in range(depth)]
