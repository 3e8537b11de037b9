"""Brightness as the super-resolution papers measure it."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from linearsr.core.errors import ShapeError

LUMA: Final = (65.481, 128.553, 24.966)
OFFSET: Final = 16.0
"""ITU-R BT.601 studio range, the matrix of MATLAB's `rgb2ycbcr`: black is 16, white 235."""


def rgb_to_y(image_01: Tensor) -> Tensor:
    """image_01 [..., 3, H, W] -> luma, float64 [..., H, W], 16..235 on the scale of 0..255.

    Y is not rounded, as in BasicSR; MATLAB rounds it for 8-bit input, which moves a PSNR by about 0.01 dB.
    """
    if image_01.ndim < 3 or image_01.shape[-3] != 3:
        raise ShapeError(f"the picture is {list(image_01.shape)}; wanted [..., 3, H, W]")
    weights = torch.tensor(LUMA, dtype=torch.float64, device=image_01.device)
    return torch.einsum("...chw,c->...hw", image_01.double(), weights) + OFFSET
