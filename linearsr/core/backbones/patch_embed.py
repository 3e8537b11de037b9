"""Latent pixels to tokens, and where a token is."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from linearsr.core.backbones.tiling.geometry import Area
from linearsr.core.errors import ConfigError, ShapeError


class PatchEmbed(nn.Module):
    """A convolution whose kernel is its stride, as a product on tokens: [B, C, h, w] -> [B, (h/p)·(w/p), dim].

    The weight is stored as the convolution's, [dim, C, p, p] (Sana's layout).
    """

    def __init__(self, channels: int, dim: int, patch_size: int = 1):
        super().__init__()
        conv = nn.Conv2d(channels, dim, patch_size)
        self.weight, self.bias = conv.weight, conv.bias
        self.patch_size = patch_size

    def forward(self, x: Tensor, share: Tensor | None = None) -> Tensor:
        """x: the first channels, at least one; share: what `share_of` made of the others, added."""
        tokens = F.linear(self._patches(x), self.weight[:, : x.shape[1]].flatten(1), self.bias)
        return tokens if share is None else tokens + share

    def share_of(self, features: Tensor) -> Tensor:
        """The last channels' share of the tokens, without bias: the embedding is linear, so the shares add."""
        return F.linear(self._patches(features), self.weight[:, -features.shape[1] :].flatten(1))

    def grid_of(self, x: Tensor) -> tuple[int, int]:
        """Rows and columns of tokens of a latent [B, C, h, w]. Raises ShapeError."""
        if any(side % self.patch_size for side in x.shape[-2:]):
            raise ShapeError(f"the latent is {list(x.shape[-2:])}; its sides must be multiples of patch_size={self.patch_size}")
        return x.shape[-2] // self.patch_size, x.shape[-1] // self.patch_size

    def _patches(self, x: Tensor) -> Tensor:
        self.grid_of(x)
        return rearrange(x, "b c (h p) (w q) -> b (h w) (c p q)", p=self.patch_size, q=self.patch_size)


class SinCosPositions(nn.Module):
    """Fixed sine–cosine positions in two dimensions (Sana at 2K and 4K; none below).

    dim: multiple of 4; base_size: tokens per side at which neighbours lie 1/scale apart; scale: Sana's interpolation scale.
    Raises ConfigError.
    """

    def __init__(self, dim: int, base_size: int, scale: float):
        super().__init__()
        if dim % 4 or base_size < 1 or scale <= 0:
            raise ConfigError(
                f"positions of width={dim} with position_base={base_size}, position_scale={scale}; wanted a width that is a "
                "multiple of 4, position_base ≥ 1 and position_scale > 0 (None for no positions)"
            )
        self.dim, self.base_size, self.scale = dim, base_size, scale

    def forward(self, grid: tuple[int, int], like: Tensor, area: Area | None = None) -> Tensor:
        """[1, N, dim] in `like`'s dtype and device; columns in the first half of the channels, rows in the second.

        grid: of the whole picture; area: of which part the positions are wanted, of all by default.
        """
        area = area or Area.whole(grid)
        quarter = self.dim // 4
        omega = torch.exp(-math.log(10000.0) * torch.arange(quarter, dtype=torch.float64, device=like.device) / quarter)
        halves = []
        for axis, (start, stop) in ((1, (area.left, area.right)), (0, (area.top, area.bottom))):
            index = torch.arange(start, stop, dtype=torch.float64, device=like.device)
            place = index * self.base_size / grid[axis] / self.scale
            angles = place[:, None] * omega
            waves = torch.cat([angles.sin(), angles.cos()], -1)
            halves.append(waves[None] if axis == 1 else waves[:, None])
        both = [half.expand(*area.grid, -1) for half in halves]
        return rearrange(torch.cat(both, -1), "h w d -> 1 (h w) d").to(like.dtype)
