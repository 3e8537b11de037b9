"""The LR stem on the parts of a picture."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor

from linearsr.core.backbones.tiling.geometry import Area
from linearsr.core.backbones.tiling.plan import Plan
from linearsr.core.errors import ShapeError


def features_of_tiles(stem: Any, lr: Tensor, plan: Plan, stride: int, patch_size: int) -> Iterator[tuple[Area, Tensor]]:
    """lr [B, 3, H, W] of the whole picture -> each of the plan's tiles with its features [B, F, h, w].

    stride: LR pixels per latent pixel and side. A stem without `halo` looks at the whole picture first. Raises ShapeError.
    """
    multiple = stride * patch_size
    if any(side % multiple for side in lr.shape[-2:]):
        raise ShapeError(f"the LR is {list(lr.shape[-2:])}; its sides must be multiples of {multiple}")
    whole = None if hasattr(stem, "halo") else stem(lr)
    for tile in plan.tiles:
        latent = tile.times(patch_size)
        yield tile, features_of(stem, lr, latent, stride) if whole is None else latent.cut(whole)


def features_of(stem: Any, lr: Tensor, latent: Area, stride: int) -> Tensor:
    """latent: an area of latent pixels -> its features [B, F, h, w], as `stem` finds them in all of `lr`.

    stem.halo: LR pixels beyond its own that a latent pixel looks at. The picture's own edges stay edges.
    """
    picture = Area(0, lr.shape[-2] // stride, 0, lr.shape[-1] // stride)
    around = latent.grown(-(-stem.halo // stride), picture)
    return latent.seen_from(around).cut(stem(around.times(stride).cut(lr)))
