"""The single steps of a degradation on one picture: float32 [H, W, 3] in 0..1, as OpenCV takes it. Nothing is written to."""

from __future__ import annotations

import math
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from linearsr.core.data.degradations.kernels import Kernel
from linearsr.core.errors import ShapeError

Picture = NDArray[np.float32]
Mode = Literal["area", "bilinear", "bicubic"]

INTERPOLATION: dict[Mode, int] = {"area": cv2.INTER_AREA, "bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC}
NORMAL_FROM = 32.0
"""Expected counts from which a Poisson draw is a rounded normal one: skewness below 0.18, and eight times as fast."""


def blur(picture: Picture, kernel: Kernel) -> Picture:
    """Borders are mirrored. kernel: [k, k], odd."""
    return np.asarray(cv2.filter2D(picture, -1, kernel, borderType=cv2.BORDER_REFLECT_101), np.float32)


def resize(picture: Picture, size: tuple[int, int], mode: Mode) -> Picture:
    """size: (height, width), each ≥ 1. Without antialiasing for bilinear and bicubic, as in Real-ESRGAN; values may overshoot
    0..1 for bicubic."""
    if min(size) < 1:
        raise ShapeError(f"cannot resize {picture.shape[:2]} to {size}; wanted (height, width), each ≥ 1")
    return np.asarray(cv2.resize(picture, (size[1], size[0]), interpolation=INTERPOLATION[mode]), np.float32)


def add_gaussian_noise(picture: Picture, sigma: float, grey: bool, generator: np.random.Generator) -> Picture:
    """sigma: of 255 levels. grey: the same noise in all channels. Clamped to 0..1."""
    shape = (*picture.shape[:2], 1) if grey else picture.shape
    noise = generator.standard_normal(shape, np.float32)
    return np.clip(picture + np.float32(sigma / 255) * noise, 0, 1)


def add_poisson_noise(picture: Picture, scale: float, grey: bool, generator: np.random.Generator) -> Picture:
    """Shot noise × scale: its variance at level x is scale²·x/V. Clamped to 0..1.

    V: the photons of full white, the power of two above the number of levels that occur in the picture (BasicSR).
    grey: drawn for the luminance (BT.601) and added to all channels.
    """
    levels = np.clip(picture, 0, 1)
    if grey:
        levels = levels @ np.array([[0.299], [0.587], [0.114]], np.float32)
    levels = np.round(levels * 255) / np.float32(255)
    occurring = np.count_nonzero(np.bincount((levels * 255).astype(np.uint8).ravel(), minlength=256))
    photons = np.float32(2 ** math.ceil(math.log2(max(int(occurring), 1))))
    noise = _poisson(levels * photons, generator) / photons - levels
    return np.clip(picture + np.float32(scale) * noise, 0, 1)


def jpeg(picture: Picture, quality: int) -> Picture:
    """Through a real JPEG (libjpeg by OpenCV, 4:2:0). quality: 1..100. Clamped to 0..1 before."""
    levels = np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    _, data = cv2.imencode(".jpg", cv2.cvtColor(levels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, int(quality)])
    decoded = cv2.cvtColor(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR)), cv2.COLOR_BGR2RGB)
    return decoded.astype(np.float32) / np.float32(255)


def _poisson(expected: Picture, generator: np.random.Generator) -> Picture:
    """Counts. expected: ≥ 0."""
    counts = np.round(expected + np.sqrt(expected) * generator.standard_normal(expected.shape, np.float32))
    few = expected < NORMAL_FROM
    counts[few] = generator.poisson(expected[few])
    return np.asarray(counts, np.float32)
