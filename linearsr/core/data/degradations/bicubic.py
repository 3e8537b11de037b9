"""Bicubic shrinking, the degradation of classical super-resolution."""

from __future__ import annotations

from torch import Tensor

from linearsr.core.errors import ShapeError
from linearsr.core.pixels import round_to_8bit
from linearsr.core.resampling import resize_bicubic


def degrade_bicubic(hr_01: Tensor, scale: int) -> Tensor:
    """Antialiased bicubic shrinking (the kernel of Pillow and MATLAB), clamped and rounded to the 1/255 grid.

    hr_01: float [B, 3, H, W] or [3, H, W] in 0..1. Returns the same with H/scale, W/scale.
    Away from the border this is MATLAB's `imresize`, which made the usual test sets, but for its rounding between rows and
    columns: there about one value in nine differs, nearly always by one level.
    Raises ShapeError where a side is no multiple of scale.
    """
    if scale < 1:
        raise ShapeError(f"scale is {scale}; wanted a whole number ≥ 1")
    if hr_01.ndim not in (3, 4) or hr_01.shape[-3] != 3:
        raise ShapeError(f"hr is {list(hr_01.shape)}; wanted [B, 3, H, W] or [3, H, W]")
    height, width = hr_01.shape[-2:]
    if min(height, width) < 1 or height % scale or width % scale:
        raise ShapeError(f"hr is {height}×{width}; a degradation by {scale} needs multiples of {scale}: crop it first")
    batch = hr_01 if hr_01.ndim == 4 else hr_01[None]
    lr_01 = round_to_8bit(resize_bicubic(batch, (height // scale, width // scale)))
    return lr_01 if hr_01.ndim == 4 else lr_01[0]
