"""What a learned router is told of a picture, beside its noise."""

from __future__ import annotations

import torch
from torch import Tensor

FEATURES = 12
"""Four per channel, three channels."""


def picture_features(lr_pm1: Tensor) -> Tensor:
    """lr [B, 3, H, W] in −1..1, H, W ≥ 1 -> [B, 12]: per channel the mean, the standard deviation, and the mean step to the
    pixel below and to the right (our choice: brightness, contrast, and how much fine detail there is).

    In float32 or wider. Steps over the edge are 0, so a tiled or padded picture says nearly the same.
    """
    x = lr_pm1.to(torch.promote_types(lr_pm1.dtype, torch.float32))
    over = (-2, -1)
    pixels = x.shape[-2] * x.shape[-1]
    steps = [x.diff(dim=axis).abs().sum(over) / pixels for axis in over]
    return torch.cat([x.mean(over), x.std(over, correction=0), *steps], dim=1)
