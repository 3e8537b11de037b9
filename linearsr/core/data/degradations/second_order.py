"""Real-ESRGAN's second-order degradation (Wang et al. 2021, §3): blur, resize, noise, JPEG, twice, and a ringing filter."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from linearsr.core.data.degradations.pixel_steps import (
    Picture,
    add_gaussian_noise,
    add_poisson_noise,
    blur,
    jpeg,
    resize,
)
from linearsr.core.data.degradations.settings import Noise, Settings
from linearsr.core.errors import ShapeError
from linearsr.core.pixels import round_to_8bit


def degrade(hr_01: Tensor, settings: Settings, scale: int, generator: np.random.Generator) -> Tensor:
    """hr_01: float [3, H, W] in 0..1, sides multiples of scale. Returns float32 [3, H/scale, W/scale] on the grid of 1/255.

    settings: by `draw_settings`; generator: of the noise alone. The same arguments give the same picture on one machine.
    Raises ShapeError for another shape or scale.
    """
    sides = tuple(hr_01.shape[1:])
    if scale < 1:
        raise ShapeError(f"scale is {scale}; wanted a whole number ≥ 1")
    legal = hr_01.ndim == 3 and hr_01.shape[0] == 3 and min(sides) >= 1 and not any(side % scale for side in sides)
    if not (legal and hr_01.is_floating_point()):
        raise ShapeError(
            f"hr is {hr_01.dtype} {list(hr_01.shape)}; wanted a float [3, H, W], sides ≥ 1 and multiples of {scale}: "
            "crop it first"
        )
    height, width = sides
    small = (height // scale, width // scale)
    picture: Picture = np.ascontiguousarray(hr_01.permute(1, 2, 0).numpy(), np.float32)

    first, second = settings.first, settings.second
    if first.blur is not None:
        picture = blur(picture, first.blur.kernel())
    picture = resize(picture, _times((height, width), first.shrink.factor), first.shrink.mode)
    picture = _noisy(picture, first.noise, generator)
    picture = jpeg(picture, first.jpeg)

    if second.blur is not None:
        picture = blur(picture, second.blur.kernel())
    picture = resize(picture, _times(small, second.shrink.factor), second.shrink.mode)
    picture = _noisy(picture, second.noise, generator)

    if not settings.jpeg_last:
        picture = jpeg(picture, second.jpeg)
    picture = resize(picture, small, settings.final_mode)
    if settings.sinc is not None:
        picture = blur(picture, settings.sinc.kernel())
    if settings.jpeg_last:
        picture = jpeg(picture, second.jpeg)
    return round_to_8bit(torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1))))


def _noisy(picture: Picture, noise: Noise, generator: np.random.Generator) -> Picture:
    add = add_gaussian_noise if noise.kind == "gaussian" else add_poisson_noise
    return add(picture, noise.level, noise.grey, generator)


def _times(size: tuple[int, int], factor: float) -> tuple[int, int]:
    """A side is never shorter than one pixel."""
    return max(1, int(size[0] * factor)), max(1, int(size[1] * factor))
