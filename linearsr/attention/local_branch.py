"""A depthwise convolution over tokens on their grid: what linear attention lacks in sharpness, at a cost of k² a token."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from einops import einsum, rearrange
from torch import Tensor, nn

from linearsr.attention.functional import wide_dtype
from linearsr.attention.one_pass import without_autocast
from linearsr.core.values import require_odd

Convolve = Callable[[Tensor, Tensor, tuple[int, int]], Tensor]
"""heads [B, H, N, D], weight [H or 1, D, k, k], grid -> [B, H, N, D]"""


def depthwise(heads: Tensor, weight: Tensor, grid: tuple[int, int]) -> Tensor:
    """heads [B, H, N, D], N = grid[0]·grid[1]; weight [H or 1, D, k, k], k odd. Returns [B, H, N, D] in at least float32."""
    wide, count = wide_dtype(heads, weight), heads.shape[1]
    picture = rearrange(heads, "b h (y x) d -> b (h d) y x", y=grid[0]).to(wide, memory_format=torch.channels_last)
    kernels = rearrange(weight.to(wide).expand(count, -1, -1, -1), "h d i j -> (h d) 1 i j")
    with without_autocast(heads):
        mixed = F.conv2d(picture, kernels, padding=weight.shape[-1] // 2, groups=len(kernels))
    return rearrange(mixed, "b (h d) y x -> b h (y x) d", h=count)


def depthwise_dense(heads: Tensor, weight: Tensor, grid: tuple[int, int]) -> Tensor:
    """The same as a sum over the k² neighbours of every token, all of them laid out."""
    wide, count, size = wide_dtype(heads, weight), heads.shape[1], weight.shape[-1]
    picture = rearrange(heads.to(wide), "b h (y x) d -> b (h d) y x", y=grid[0])
    neighbours = rearrange(F.unfold(picture, size, padding=size // 2), "b (h d t) n -> b h d t n", h=count, t=size**2)
    kernels = weight.to(wide).expand(count, -1, -1, -1).flatten(2)
    with without_autocast(heads):
        return einsum(neighbours, kernels, "b h d t n, h d t -> b h n d")


class LocalBranch(nn.Module):
    """Each channel of each head with a kernel of its own, zero beyond the grid's edge; no bias, the projection out has one.

    num_heads: heads that have kernels of their own; 1: all heads share those of one
    width:     D, channels of a head
    kernel:    k, odd, in tokens; raises ConfigError for another
    reach:     k // 2, how many tokens far an output looks
    """

    def __init__(self, num_heads: int, width: int, kernel: int):
        super().__init__()
        kernel = require_odd(kernel, "attention.kernel")
        self.reach = kernel // 2
        self.weight = nn.Parameter(torch.empty(num_heads, width, kernel, kernel).uniform_(-1 / kernel, 1 / kernel))  # Conv2d's

    def forward(self, heads: Tensor, grid: tuple[int, int], convolve: Convolve = depthwise) -> Tensor:
        """heads [B, H, N, D]. Returns [B, H, N, D] in at least float32. convolve: `depthwise` or `depthwise_dense`."""
        return convolve(heads, self.weight, grid)
