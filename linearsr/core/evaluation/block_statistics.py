"""Features of NIQE: asymmetric generalised Gaussians fitted to the blocks of a normalised picture."""

from __future__ import annotations

from functools import cache
from typing import Final

import torch
from einops import rearrange
from torch import Tensor

SHIFTS: Final = ((0, 1), (1, 0), (1, 1), (1, -1))
"""Neighbours whose products are fitted: right, below and the two diagonals (Mittal et al. 2013, §II-B)."""


def block_features(normalised: Tensor, side: int) -> Tensor:
    """[H, W], multiples of side -> float64 [blocks, 18]: shape and mean spread of the pixels, then shape, mean and both
    spreads of each neighbour product. NaN where a block has no positive or no negative value. A shift wraps in its block.
    """
    blocks = rearrange(normalised, "(i h) (j w) -> (i j) h w", h=side, w=side)
    shape, left, right = fit_aggd(blocks)
    features = [shape, (left + right) / 2]
    for shift in SHIFTS:
        shape, left, right = fit_aggd(blocks * blocks.roll(shift, dims=(1, 2)))
        mean = (right - left) * _gamma_ratio(2 / shape, 1 / shape)
        features += [shape, mean, left, right]
    return torch.stack(features, dim=1)


def fit_aggd(blocks: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """[n, h, w] -> shape α in 0.2..10 and the spreads below and above zero, each [n], by matched
    moments (Lasmar et al. 2009).
    """
    x = blocks.flatten(1)
    left, right = (_root_mean_square(x, side) for side in (x < 0, x > 0))
    ratio = left / right
    peak = x.abs().mean(1) ** 2 / x.square().mean(1)
    target = peak * (ratio**3 + 1) * (ratio + 1) / (ratio**2 + 1) ** 2
    shapes, table = _shape_table()
    above = torch.searchsorted(table, target.nan_to_num()).clamp(1, len(table) - 1)
    nearest = torch.where(target - table[above - 1] <= table[above] - target, above - 1, above)
    shape = torch.where(target.isfinite(), shapes[nearest], torch.nan)
    scale = _gamma_ratio(1 / shape, 3 / shape).sqrt()
    return shape, left * scale, right * scale


def _root_mean_square(x: Tensor, where: Tensor) -> Tensor:
    """Over the marked values of each row; NaN where there is none."""
    return ((x.square() * where).sum(1) / where.sum(1)).sqrt()


@cache
def _shape_table() -> tuple[Tensor, Tensor]:
    """α from 0.2 to 10 in steps of 0.001, and Γ(2/α)² / (Γ(1/α) Γ(3/α)), which grows with α."""
    shapes = 0.2 + 0.001 * torch.arange(9801, dtype=torch.float64)
    logs = 2 * torch.lgamma(2 / shapes) - torch.lgamma(1 / shapes) - torch.lgamma(3 / shapes)
    return shapes, logs.exp()


def _gamma_ratio(a: Tensor, b: Tensor) -> Tensor:
    return (torch.lgamma(a) - torch.lgamma(b)).exp()
