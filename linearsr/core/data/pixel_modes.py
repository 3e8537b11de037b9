"""What a Pillow picture holds, as RGB in 0..1."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from linearsr.core.errors import DataError

FloatArray = NDArray[np.float32]

BACKGROUND: Final = np.float32(1)
"""White, as a page or a browser shows a transparent picture (our choice)."""

WIDE_GREY: Final = {"I;16": 65535, "I;16L": 65535, "I;16B": 65535, "I;16N": 65535, "I": 65535, "F": 1}
"""Single-channel modes of more than 8 bits and the value that means white. "I" is how 16-bit files open in some versions."""


def rgb_01(image: Image.Image) -> FloatArray:
    """float32 [H, W, 3] in 0..1. Raises DataError where a wide mode holds values outside its range."""
    if image.mode in WIDE_GREY:
        return _wide_grey(image, WIDE_GREY[image.mode])
    if image.has_transparency_data:
        rgba = _levels(image.convert("RGBA"))
        return BACKGROUND + (rgba[..., :3] - BACKGROUND) * rgba[..., 3:]
    return _levels(image.convert("RGB"))


def _levels(image: Image.Image) -> FloatArray:
    return np.asarray(image).astype(np.float32) / np.float32(255)


def _wide_grey(image: Image.Image, white: int) -> FloatArray:
    grey = np.asarray(image).astype(np.float64)
    low, high = float(grey.min()), float(grey.max())
    if not (low >= 0 and high <= white):
        raise DataError(f"pixels of mode {image.mode!r} lie in {low:g}..{high:g}; wanted 0..{white}")
    return np.repeat((grey / white).astype(np.float32)[..., None], 3, axis=2)
