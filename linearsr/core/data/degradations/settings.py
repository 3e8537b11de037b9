"""What was drawn for one picture; everything but the noise itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from linearsr.core.data.degradations.kernels import Kernel, gaussian_kernel, plateau_kernel, sinc_kernel
from linearsr.core.data.degradations.pixel_steps import Mode

Family = Literal["iso", "aniso", "generalized_iso", "generalized_aniso", "plateau_iso", "plateau_aniso", "sinc"]
FAMILIES: tuple[Family, ...] = ("iso", "aniso", "generalized_iso", "generalized_aniso", "plateau_iso", "plateau_aniso")
"""In the order of Preset.families."""


@dataclass(frozen=True)
class Blur:
    """size: odd, pixels; sigma: pixels; angle: radians; beta: exponent; cutoff: radians per pixel, of a sinc alone."""

    family: Family
    size: int
    sigma: tuple[float, float] = (1.0, 1.0)
    angle: float = 0.0
    beta: float = 1.0
    cutoff: float = 0.0

    def kernel(self) -> Kernel:
        """[size, size], of sum 1."""
        if self.family == "sinc":
            return sinc_kernel(self.size, self.cutoff)
        shape = plateau_kernel if self.family.startswith("plateau") else gaussian_kernel
        return shape(self.size, self.sigma, self.angle, self.beta)

    def __str__(self) -> str:
        if self.family == "sinc":
            return f"sinc {self.cutoff:.2f}"
        sigma = "/".join(f"{value:.2f}" for value in dict.fromkeys(self.sigma))
        return f"{self.family.replace('_', ' ')} sigma {sigma}"


@dataclass(frozen=True)
class Shrink:
    """factor: of the side that the stage refers to; above 1 it enlarges."""

    factor: float
    mode: Mode

    def __str__(self) -> str:
        return f"x{self.factor:.2f} {self.mode}"


@dataclass(frozen=True)
class Noise:
    """level: σ of 255 for "gaussian", a scale for "poisson". grey: the same in all channels."""

    kind: Literal["gaussian", "poisson"]
    level: float
    grey: bool

    def __str__(self) -> str:
        return f"{'grey ' * self.grey}{self.kind} {self.level:.2f}"


@dataclass(frozen=True)
class Stage:
    """blur: None where there is none. jpeg: quality."""

    blur: Blur | None
    shrink: Shrink
    noise: Noise
    jpeg: int

    def __str__(self) -> str:
        return ", ".join(map(str, filter(None, (self.blur, self.shrink, self.noise, f"JPEG {self.jpeg}"))))


@dataclass(frozen=True)
class Settings:
    """final_mode: of the last resize, to the LR's size; sinc: of the last filter, None where there is none; jpeg_last: whether
    the second JPEG comes after them rather than before."""

    first: Stage
    second: Stage
    final_mode: Mode
    sinc: Blur | None
    jpeg_last: bool

    def __str__(self) -> str:
        last = f"{self.final_mode}, {self.sinc or 'no filter'}"
        return f"{self.first} | {self.second} | {last}{', JPEG last' * self.jpeg_last}"
