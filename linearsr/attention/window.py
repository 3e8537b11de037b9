"""Softmax attention in windows that are shifted in every other layer: the habit of super-resolution."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from linearsr.attention.functional import wide_dtype
from linearsr.attention.multi_head import MultiHeadAttention
from linearsr.attention.one_pass import without_autocast
from linearsr.core.errors import ConfigError
from linearsr.core.registries import ATTENTION
from linearsr.core.structures import Grid, Margin
from linearsr.core.values import require_count

BIAS_STD = 0.02
"""Of the relative position biases at the start (Swin)."""


@ATTENTION.register_module()
class WindowAttention(MultiHeadAttention):
    """softmax(q kᵀ/√D + bias) v among the tokens of one window (Swin Transformer, Liu et al. 2021, eq. 4; SwinIR).

    A token in row y and column x is in window (⌊(y−shift)/window⌋, ⌊(x−shift)/window⌋), on a grid of any size: at its edge
    windows are filled up with places that nobody sees. So sees a token what it sees after Swin's masked cyclic shift; only
    that Swin does not shift a grid of a single window. The bias depends on how far apart two tokens are and on the head:
    table [(2·window−1)², H]. Cost: 2·N·window²·D a head, N with the places filled up, fewer than window on each of four sides.
    Not additive: a window may lie in several tiles. For pictures in tiles use an additive attention, ReLULinearAttention say.

    window: side in tokens; SwinIR's 8
    shift:  in tokens, 0 ≤ shift < window; None is window // 2 in odd layers and 0 in even ones
    layer:  index of the block; the denoiser sets it
    """

    linear = True

    def __init__(
        self, dim: int, num_heads: int, *, window: int = 8, shift: int | None = None, layer: int = 0, qk_norm: bool = False
    ):
        super().__init__(dim, num_heads, qk_norm=qk_norm)
        window, layer = require_count(window, "attention.window"), require_count(layer, "attention.layer", 0)
        shift = (window // 2 if layer % 2 else 0) if shift is None else require_count(shift, "attention.shift", 0)
        if shift >= window:
            raise ConfigError(f"attention.shift is {shift}; wanted 0 ≤ shift < {window}, which is attention.window")
        self.window, self.shift = window, shift
        self.bias_table = nn.Parameter(nn.init.trunc_normal_(torch.empty((2 * window - 1) ** 2, num_heads), std=BIAS_STD))

    def mix(self, q: Tensor, k: Tensor, v: Tensor, grid: tuple[int, int]) -> Tensor:
        q, k, v = (heads.to(v.dtype).unflatten(2, grid) for heads in (q, k, v))
        window, margin = self.window, margin_of(grid, self.window, self.shift)
        with without_autocast(v):
            mask = self.bias(window, window).to(v.dtype)
            if sum(margin):  # one condition of one number, or compiled code would come in a variant for each side
                mask = mask_of_cut_windows(mask, grid, margin)
                return attend_in_cut_windows(q, k, v, mask, window, margin).flatten(2, 3)
            return attend_in_windows(q, k, v, mask, window).flatten(2, 3)

    def mix_dense(self, q: Tensor, k: Tensor, v: Tensor, grid: tuple[int, int]) -> Tensor:
        wide = wide_dtype(q, k, v, self.bias_table)
        y, x = torch.meshgrid(*(torch.arange(size, device=q.device) for size in grid), indexing="ij")
        window = torch.stack([(place.flatten() - self.shift).div(self.window, rounding_mode="floor") for place in (y, x)])
        together = (window[:, :, None] == window[:, None, :]).all(0)
        with without_autocast(q):
            scores = q.to(wide) @ k.to(wide).mT / q.shape[-1] ** 0.5 + self.bias(*grid).to(wide)
            return (scores.masked_fill(~together, -torch.inf).softmax(-1) @ v.to(wide)).to(v.dtype)

    def bias(self, height: int, width: int) -> Tensor:
        """[H, height·width, height·width]: of two tokens of one window. Farther ones get what the farthest in a window get."""
        reach, device = self.window - 1, self.bias_table.device
        down, right = (
            (torch.arange(size, device=device)[:, None] - torch.arange(size, device=device)).clamp(-reach, reach) + reach
            for size in (height, width)
        )
        entry = down[:, None, :, None] * (2 * reach + 1) + right[None, :, None, :]
        return self.bias_table[entry.flatten(2).flatten(0, 1)].permute(2, 0, 1)


def margin_of(grid: Grid, window: int, shift: int) -> Margin:
    """Places around a grid that fill its windows up, where borders fall on row and column `shift`; none: (0, 0, 0, 0)."""
    before = -shift % window
    below, right = (-(size + before) % window for size in grid)
    return before, below, before, right


def attend_in_windows(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, window: int) -> Tensor:
    """q, k, v: [B, H, height, width, D], both sides multiples of `window`; bias [H, L, L], L = window². Returns their shape.

    Windows are a batch: torch takes a batch of any length on CUDA, and not more than 65,535 heads.
    """
    height, width = q.shape[2] // window, q.shape[3] // window
    q, k, v = (rearrange(x, "b h (y i) (x j) d -> (b y x) h (i j) d", i=window, j=window) for x in (q, k, v))
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias[None])
    return rearrange(out, "(b y x) h (i j) d -> b h (y i) (x j) d", y=height, x=width, i=window)


def attend_in_cut_windows(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, window: int, margin: Margin) -> Tensor:
    """The same on a grid of any size, with `margin` around it. mask [windows·H, L, L], as from `mask_of_cut_windows`.

    The batch is the windows and heads, which a mask depends on, and pictures stand where torch expects heads: over a whole axis
    torch repeats a mask without laying it out.
    """
    above, below, left, right = margin
    height, width = q.shape[2:4]
    q, k, v = (
        rearrange(F.pad(x, (0, 0, left, right, above, below)), "b h (y i) (x j) d -> (y x h) b (i j) d", i=window, j=window)
        for x in (q, k, v)
    )
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None])
    down, across = (above + height + below) // window, (left + width + right) // window
    framed = rearrange(out, "(y x h) b (i j) d -> b h (y i) (x j) d", y=down, x=across, i=window)
    return framed[:, :, above : above + height, left : left + width]


def mask_of_cut_windows(bias: Tensor, grid: Grid, margin: Margin) -> Tensor:
    """bias [H, L, L] -> [windows·H, L, L]: −inf for keys in the margin, which nobody sees."""
    above, below, left, right = margin
    side = math.isqrt(bias.shape[-1])
    unseen = F.pad(bias.new_zeros(grid), (left, right, above, below), value=-torch.inf)
    return (rearrange(unseen, "(y i) (x j) -> (y x) 1 1 (i j)", i=side, j=side) + bias).flatten(0, 1)
