"""Blur kernels of Real-ESRGAN (Wang et al. 2021, §3.2–3.3): float32 [size, size], of sum 1.

Where all parameters agree they are those of BasicSR, which the degradation settings in the literature refer to.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from linearsr.core.errors import ConfigError

Kernel = NDArray[np.float32]


def gaussian_kernel(size: int, sigma: tuple[float, float], angle: float = 0.0, beta: float = 1.0) -> Kernel:
    """exp(−½ (xᵀΣ⁻¹x)^β). size: odd, pixels; sigma: along the two axes, pixels, equal for an isotropic one; angle: of the first
    axis, radians; beta: 1 for a Gaussian, below heavier tails, above a flatter top ("generalised")."""
    return _normalised(np.exp(-0.5 * _distance(size, sigma, angle) ** beta))


def plateau_kernel(size: int, sigma: tuple[float, float], angle: float = 0.0, beta: float = 1.0) -> Kernel:
    """1 / (1 + (xᵀΣ⁻¹x)^β). Arguments as of `gaussian_kernel`."""
    return _normalised(1 / (1 + _distance(size, sigma, angle) ** beta))


def sinc_kernel(size: int, cutoff: float) -> Kernel:
    """Circular low pass, which rings. cutoff: radians per pixel, above 0 and up to π."""
    if not 0 < cutoff <= np.pi:
        raise ConfigError(f"the cutoff of a sinc kernel is {cutoff}; wanted radians per pixel in 0..π, above 0")
    rows, columns = _grid(size)
    radius = np.hypot(rows, columns)
    centre = radius == 0
    with np.errstate(invalid="ignore", divide="ignore"):
        kernel = cutoff * _bessel_j1(cutoff * radius) / (2 * np.pi * radius)
    return _normalised(np.where(centre, cutoff**2 / (4 * np.pi), kernel))


def _distance(size: int, sigma: tuple[float, float], angle: float) -> NDArray[np.float64]:
    """xᵀΣ⁻¹x at every pixel, x from the centre."""
    if min(sigma) <= 0:
        raise ConfigError(f"the sigma of a blur is {sigma}; wanted pixels > 0")
    rows, columns = _grid(size)
    along = columns * np.cos(angle) + rows * np.sin(angle)
    across = rows * np.cos(angle) - columns * np.sin(angle)
    return (along / sigma[0]) ** 2 + (across / sigma[1]) ** 2


def _grid(size: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if size < 1 or size % 2 == 0:
        raise ConfigError(f"the size of a blur kernel is {size}; wanted an odd number of pixels")
    side = np.arange(size, dtype=np.float64) - size // 2
    return side[:, None], side[None, :]


def _bessel_j1(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """J₁ by its integral (1/π) ∫₀^π cos(θ − x sin θ) dθ; the midpoint rule is exact to rounding for a kernel's x (< 64)."""
    theta = (np.arange(128) + 0.5) * np.pi / 128
    return np.cos(theta - x[..., None] * np.sin(theta)).mean(-1)


def _normalised(kernel: NDArray[np.float64]) -> Kernel:
    return (kernel / kernel.sum()).astype(np.float32)
