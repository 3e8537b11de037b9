"""Transforms of one sample, as mmcv transforms. Those that draw at random use the draw's own seed and nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from torch import Tensor

from linearsr.core.data.degradations import degrade_bicubic
from linearsr.core.data.images import from_uint8, read_image, to_uint8
from linearsr.core.errors import ConfigError, DataError
from linearsr.core.randomness import mix_seed, numpy_generator
from linearsr.core.registries import TRANSFORMS


@TRANSFORMS.register_module()
class LoadPictures(BaseTransform):
    """hr_path, lr_path -> hr, lr: float32 [3, H, W] in 0..1.

    cache: keep every decoded picture in memory, at 8 bits (deeper files are rounded); for sets that fit. Then pictures
    stay uint8 until RandomCrop, so that only the crop is converted.
    """

    def __init__(self, cache: bool = False):
        self.cache: dict[Any, Any] | None = {} if cache else None

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        for kind in ("hr", "lr"):
            path = results.pop(f"{kind}_path")
            if path is not None:
                results[kind] = self._read(path)
        return results

    def _read(self, path: Any) -> Any:
        if self.cache is None:
            return read_image(path)
        if path not in self.cache:
            self.cache[path] = to_uint8(read_image(path))
        return self.cache[path]


@TRANSFORMS.register_module()
class CropToMultiple(BaseTransform):
    """Cuts the HR at its bottom and right so that both sides are multiples of `scale` (the usual "modcrop")."""

    def __init__(self, scale: int):
        self.scale = scale

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        height, width = (side - side % self.scale for side in results["hr"].shape[-2:])
        if min(height, width) < 1:
            raise DataError(f"{results['name']} is smaller than the scale {self.scale}: {list(results['hr'].shape[-2:])}")
        results["hr"] = results["hr"][:, :height, :width]
        return results


@TRANSFORMS.register_module()
class RandomCrop(BaseTransform):
    """A square crop of `size` HR pixels, and the same place of the LR where there is one. size: a multiple of `scale`."""

    def __init__(self, size: int, scale: int):
        if size < scale or size % scale:
            raise ConfigError(f"RandomCrop: size is {size}; wanted a multiple of scale = {scale}")
        self.size, self.scale = size, scale

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        hr, size, scale = results["hr"], self.size, self.scale
        if min(hr.shape[-2:]) < size:
            raise DataError(f"{results['name']} is {hr.shape[-2]}×{hr.shape[-1]}, smaller than RandomCrop's size {size}")
        step = scale if "lr" in results else 1
        draw = draws(results, type(self).__name__, 1)
        top, left = (int(draw.integers(0, (side - size) // step + 1)) * step for side in hr.shape[-2:])
        results["hr"] = _as_float(hr[:, top : top + size, left : left + size])
        if "lr" in results:
            area = (slice(None), *(slice(at // scale, (at + size) // scale) for at in (top, left)))
            results["lr"] = _as_float(results["lr"][area])
        return results


@TRANSFORMS.register_module()
class RandomFlipRotate(BaseTransform):
    """One of the eight symmetries of the square, the same for HR and LR."""

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        flip, mirror, turn = draws(results, type(self).__name__, 2).integers(0, 2, 3).tolist()
        for kind in ("hr", "lr"):
            if kind in results:
                picture = results[kind].flip([-2] * flip + [-1] * mirror)
                results[kind] = (picture.transpose(-1, -2) if turn else picture).contiguous()
        return results


@TRANSFORMS.register_module()
class BicubicDegradation(BaseTransform):
    """hr -> lr: bicubic (a = −0.5, antialiased) down by `scale`, rounded to 8 bits."""

    def __init__(self, scale: int):
        self.scale = scale

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        results["lr"] = degrade_bicubic(results["hr"], self.scale)
        return results


def draws(results: dict[str, Any], who: str, stream: int) -> np.random.Generator:
    """stream: a number of its own for each transform, so that two of them do not draw the same."""
    if "seed" not in results:
        raise ConfigError(
            f"{who} draws at random; give its dataloader sampler=dict(type='DrawSampler'), or variants to a Cached around it"
        )
    results["drawn_by"] = who  # for Cached, which keeps nothing that a draw has changed
    return numpy_generator(mix_seed(results["seed"], stream))


def _as_float(picture: Tensor) -> Tensor:
    return picture if picture.is_floating_point() else from_uint8(picture)
