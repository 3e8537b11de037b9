"""The LR picture as features on the latent grid."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor, nn

from linearsr.core.errors import ConfigError, ShapeError
from linearsr.core.registries import STEMS


def spread_strides(stride: int, depth: int) -> list[int]:
    """The prime factors of `stride` over `depth` convolutions, the strided ones last: (8, 3) -> 2, 2, 2; (2, 3) -> 1, 1, 2."""
    factors, rest, prime = [], stride, 2
    while rest > 1:
        while rest % prime == 0:
            factors.append(prime)
            rest //= prime
        prime += 1
    strides = [1] * max(depth - len(factors), 0) + factors
    while len(strides) > depth:
        last = strides.pop()
        strides[-1] *= last
    return strides


@STEMS.register_module()
class ConvStem(nn.Module):
    """3×3 convolutions with SiLU between them, whose strides multiply to `stride` (LinearSR: three, strides 2, 2, 2).

    stride:       picture pixels per latent pixel and side; the denoiser supplies it
    width:        channels between the convolutions; out_channels: of the last, `width` by default
    depth:        number of convolutions, ≥ 1
    Edges are padded by repeating them (our choice: zeros would darken the border).
    halo: picture pixels beyond its own that a latent pixel looks at, on the side where they are more
    """

    def __init__(self, stride: int, *, width: int = 64, depth: int = 3, out_channels: int | None = None):
        super().__init__()
        if stride < 1 or depth < 1:
            raise ConfigError(f"ConvStem: stride={stride}, depth={depth}; wanted whole numbers ≥ 1")
        self.stride = stride
        self.out_channels = out_channels or width
        strides = spread_strides(stride, depth)
        self.halo = sum(math.prod(strides[:i]) for i in range(depth))  # one pixel of each convolution's input
        widths = [3, *[width] * (depth - 1), self.out_channels]
        self.convs = nn.ModuleList(nn.Conv2d(widths[i], widths[i + 1], 3, step, padding=0) for i, step in enumerate(strides))

    def forward(self, lr_pm1: Tensor) -> Tensor:
        """[B, 3, h·stride, w·stride] in −1..1 -> [B, out_channels, h, w]."""
        if any(side % self.stride for side in lr_pm1.shape[-2:]):
            raise ShapeError(f"the LR is {list(lr_pm1.shape[-2:])}; its sides must be multiples of {self.stride}")
        x = lr_pm1
        for i, conv in enumerate(self.convs):
            x = conv(F.pad(x if i == 0 else F.silu(x), (1, 1, 1, 1), mode="replicate"))
        return x
