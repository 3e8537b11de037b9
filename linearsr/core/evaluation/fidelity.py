"""PSNR and SSIM with the conventions of the super-resolution papers, in float64.

Both take two pictures image_01 [3, H, W] and an explicit `crop_border`: that many pixels are cut off every side first.
Both raise ShapeError where the sizes differ or too little is left, ConfigError for an unknown channel.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from linearsr.core.errors import ConfigError, ShapeError, nearest
from linearsr.core.evaluation.color import rgb_to_y

PEAK: Final = 255.0
"""Of both channels' scale; for Y too, although it spans 16..235 only (the papers' habit)."""

CHANNELS: Final[dict[str, Callable[[Tensor], Tensor]]] = {
    "y": lambda image_01: rgb_to_y(image_01)[None],
    "rgb": lambda image_01: image_01.double() * PEAK,
}
"""What is compared: [3, H, W] in 0..1 -> [C, H, W] in 0..255."""

WINDOW: Final = 11
SIGMA: Final = 1.5
C1: Final = (0.01 * PEAK) ** 2
C2: Final = (0.03 * PEAK) ** 2
"""Wang et al. 2004, §III."""


def psnr(a: Tensor, b: Tensor, *, channel: str = "y", crop_border: int) -> float:
    """10 log10(255² / MSE) in dB, one MSE over all channels; `inf` for equal pictures, NaN where either holds NaN."""
    x, y = _compared(a, b, channel, crop_border, smallest=1)
    error = (x - y).square().mean().item()
    return math.inf if error == 0 else 10 * math.log10(PEAK**2 / error)


def ssim(a: Tensor, b: Tensor, *, channel: str = "y", crop_border: int) -> float:
    """Mean SSIM, at most 1: Gaussian 11×11 window with σ = 1.5, windows that lie wholly inside, channels averaged."""
    x, y = _compared(a, b, channel, crop_border, smallest=WINDOW)
    mean_x, mean_y = _blur(x), _blur(y)
    var_x = _blur(x * x) - mean_x**2
    var_y = _blur(y * y) - mean_y**2
    cov = _blur(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1)
    structure = (2 * cov + C2) / (var_x + var_y + C2)
    return (luminance * structure).mean().item()


def crop(image: Tensor, border: int) -> Tensor:
    """[..., H, W] without `border` pixels on each side. Raises ShapeError where nothing is left."""
    height, width = image.shape[-2:]
    if border < 0 or min(height, width) <= 2 * border:
        raise ShapeError(f"cannot cut crop_border={border} off each side of {height}×{width}; set a smaller crop_border ≥ 0")
    return image[..., border : height - border, border : width - border]


def _compared(a: Tensor, b: Tensor, channel: str, crop_border: int, *, smallest: int) -> tuple[Tensor, Tensor]:
    if channel not in CHANNELS:
        raise ConfigError(f"no channel {channel!r}{nearest(channel, CHANNELS)}; known: {', '.join(CHANNELS)}")
    if a.ndim != 3 or a.shape[0] != 3 or a.shape != b.shape:
        raise ShapeError(f"the pictures are {list(a.shape)} and {list(b.shape)}; wanted two [3, H, W] of one size")
    x, y = (crop(CHANNELS[channel](image), crop_border) for image in (a, b))
    if min(x.shape[-2:]) < smallest:
        left = f"{x.shape[-2]}×{x.shape[-1]} after crop_border={crop_border}"
        raise ShapeError(f"the pictures are {left}; this metric's window needs {smallest}×{smallest}")
    return x, y


def _blur(x: Tensor) -> Tensor:
    """[C, H, W] -> [C, H−10, W−10], rows then columns."""
    offsets = torch.arange(WINDOW, dtype=torch.float64, device=x.device) - WINDOW // 2
    weights = torch.exp(-(offsets**2) / (2 * SIGMA**2))
    weights = weights / weights.sum()
    rows = F.conv2d(x[:, None], weights.view(1, 1, -1, 1))
    return F.conv2d(rows, weights.view(1, 1, 1, -1))[:, 0]
