"""Softmax attention in windows that are shifted in every other layer: the habit of super-resolution."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from linearsr.attention.functional import wide_dtype
from linearsr.attention.multi_head import MultiHeadAttention
from linearsr.core.errors import ConfigError
from linearsr.core.registries import ATTENTION

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
        if window < 1:
            raise ConfigError(f"attention.window is {window}; wanted the side of a window in tokens, at least 1")
        if shift is None:
            shift = window // 2 if layer % 2 else 0
        if not 0 <= shift < window:
            raise ConfigError(f"attention.shift is {shift}; wanted 0 ≤ shift < {window}, which is attention.window")
        self.window, self.shift = window, shift
        self.bias_table = nn.Parameter(nn.init.trunc_normal_(torch.empty((2 * window - 1) ** 2, num_heads), std=BIAS_STD))

    def mix(self, q: Tensor, k: Tensor, v: Tensor, grid: tuple[int, int]) -> Tensor:
        ahead = -self.shift % self.window  # places before the first token, so that a border falls where the shift says
        down, across = (-(-(size + ahead) // self.window) for size in grid)  # windows
        below, right = down * self.window - ahead - grid[0], across * self.window - ahead - grid[1]
        frame = (0, 0, ahead, right, ahead, below)
        q, k, v = (to_windows(F.pad(heads.to(v.dtype).unflatten(2, grid), frame), self.window) for heads in (q, k, v))
        empty = to_windows(F.pad(v.new_zeros(1, 1, *grid, 1), frame, value=-torch.inf), self.window)  # [1, windows, L, 1]
        with torch.autocast(q.device.type, enabled=False):
            mask = empty.mT.transpose(0, 1) + self.bias(self.window, self.window).to(v.dtype)  # [windows, H, L, L]
            out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask.flatten(0, 1).expand(len(q), -1, -1, -1))
        out = from_windows(out, self.window, (down, across))
        return out[:, :, ahead : ahead + grid[0], ahead : ahead + grid[1]].flatten(2, 3)

    def mix_dense(self, q: Tensor, k: Tensor, v: Tensor, grid: tuple[int, int]) -> Tensor:
        wide = wide_dtype(q, k, v, self.bias_table)
        y, x = torch.meshgrid(*(torch.arange(size, device=q.device) for size in grid), indexing="ij")
        window = torch.stack([(place.flatten() - self.shift).div(self.window, rounding_mode="floor") for place in (y, x)])
        together = (window[:, :, None] == window[:, None, :]).all(0)
        with torch.autocast(q.device.type, enabled=False):
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


def to_windows(picture: Tensor, window: int) -> Tensor:
    """[B, H, height, width, D] -> [B, windows·H, window², D]."""
    return rearrange(picture, "b h (y i) (x j) d -> b (y x h) (i j) d", i=window, j=window)


def from_windows(windows: Tensor, window: int, count: tuple[int, int]) -> Tensor:
    """The way back; count: windows from top to bottom and from left to right."""
    return rearrange(windows, "b (y x h) (i j) d -> b h (y i) (x j) d", y=count[0], x=count[1], i=window)
