"""Pictures as a classifier wants them: checked, whole or in crops."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from linearsr.core.errors import DataError, ShapeError
from linearsr.core.resampling import resize_bicubic

if TYPE_CHECKING:
    from torch import Tensor

OVERSHOOT = 0.25
"""Beyond 0..1, more than a cubic resize adds at any edge; −1..1 and 0..255 go further."""
CROP_SHARE = 0.7
"""Of the short side, the side of a crop (our choice, measured on the bundled photos: docs/guidance_taggers.md)."""


def checked_pictures(image_01: Tensor) -> Tensor:
    """float [B, 3, H, W], clamped to 0..1, in float32. Raises ShapeError, or DataError for NaN, Inf or another range."""
    if image_01.ndim != 4 or image_01.shape[1] != 3 or 0 in image_01.shape[2:] or not image_01.is_floating_point():
        raise ShapeError(f"pictures are {image_01.dtype} {list(image_01.shape)}; wanted a float [B, 3, H, W] with H, W ≥ 1")
    image = image_01.detach().float()
    for i, picture in enumerate(image):
        if not bool(picture.isfinite().all()):
            broken = int((~picture.isfinite()).sum())
            raise DataError(f"{broken} of {picture.numel()} values of picture {i} are NaN or Inf; nothing can be read from it")
        low, high = picture.min().item(), picture.max().item()
        if low < -OVERSHOOT or high > 1 + OVERSHOOT:
            raise DataError(f"picture {i} lies in {low:.3g} … {high:.3g}; wanted 0..1, as read_image gives it")
    return image.clamp(0, 1)


def whole_view(picture: Tensor, side: int) -> Tensor:
    """[3, H, W] -> [1, 3, side, side]: all of it, squeezed into a square."""
    return resize_bicubic(picture[None], (side, side)).clamp(0, 1)


def crop_views(picture: Tensor, side: int, grid: int) -> list[Tensor]:
    """[3, H, W] -> grid² views [1, 3, side, side]: squares of CROP_SHARE of the short side, from edge to edge. grid ≥ 2."""
    height, width = picture.shape[-2:]
    edge = max(1, round(CROP_SHARE * min(height, width)))
    return [
        whole_view(picture[:, top : top + edge, left : left + edge], side)
        for top in _starts(height - edge, grid)
        for left in _starts(width - edge, grid)
    ]


def mean_over_views(picture: Tensor, side: int, grid: int, scores: Callable[[Tensor], Tensor]) -> Tensor:
    """Half of the scores of the whole view, half of the mean over grid² crops; at grid 1 the whole view alone.

    scores: [1, 3, side, side] in 0..1 -> [C]. Views are asked one by one, so that they do not depend on one another.
    """
    import torch

    whole = scores(whole_view(picture, side))
    if grid == 1:
        return whole
    return (whole + torch.stack([scores(view) for view in crop_views(picture, side, grid)]).mean(0)) / 2


def _starts(room: int, count: int) -> list[int]:
    """`count` whole numbers from 0 to `room`, ends included; count ≥ 2."""
    return [round(room * i / (count - 1)) for i in range(count)]
