"""What happens to a picture, drawn from a preset."""

from __future__ import annotations

import math

import numpy as np

from linearsr.core.data.degradations.pixel_steps import INTERPOLATION, Mode
from linearsr.core.data.degradations.presets import Preset, Range
from linearsr.core.data.degradations.settings import FAMILIES, Blur, Noise, Settings, Shrink, Stage

MODES: tuple[Mode, ...] = tuple(INTERPOLATION)
SMALL = 13
"""Kernels below this size let a sinc's cutoff go down no further than π/3; larger ones to π/5 (Real-ESRGAN)."""


def draw_settings(preset: Preset, generator: np.random.Generator) -> Settings:
    """As Real-ESRGAN draws them. All of it is drawn before any pixel is touched."""
    first = Stage(
        _blur(preset, preset.sinc_1, preset.blur_sigma_1, generator),
        _shrink(preset.resize_1, preset.resize_up_down_keep_1, generator),
        _noise(preset, preset.gaussian_noise_1, preset.poisson_noise_1, generator),
        _quality(preset.jpeg_1, generator),
    )
    blurred = generator.random() < preset.second_blur
    second = Stage(
        _blur(preset, preset.sinc_2, preset.blur_sigma_2, generator) if blurred else None,
        _shrink(preset.resize_2, preset.resize_up_down_keep_2, generator),
        _noise(preset, preset.gaussian_noise_2, preset.poisson_noise_2, generator),
        _quality(preset.jpeg_2, generator),
    )
    filtered = generator.random() < preset.final_sinc
    sinc = Blur("sinc", _size(preset, generator), cutoff=generator.uniform(math.pi / 3, math.pi)) if filtered else None
    return Settings(first, second, _mode(generator), sinc, jpeg_last=bool(generator.random() < 0.5))


def _blur(preset: Preset, sinc: float, sigma: Range, generator: np.random.Generator) -> Blur:
    size = _size(preset, generator)
    if generator.random() < sinc:
        return Blur("sinc", size, cutoff=generator.uniform(math.pi / (3 if size < SMALL else 5), math.pi))
    family = FAMILIES[generator.choice(len(FAMILIES), p=preset.families)]
    first = generator.uniform(*sigma)
    aniso = family.endswith("aniso")
    return Blur(
        family,
        size,
        (first, generator.uniform(*sigma) if aniso else first),
        generator.uniform(-math.pi, math.pi) if aniso else 0.0,
        _beta(preset, family, generator),
    )


def _beta(preset: Preset, family: str, generator: np.random.Generator) -> float:
    """Half of the time below 1, half above, however far 1 is from the ends."""
    if family in ("iso", "aniso"):
        return 1.0
    low, high = preset.beta_plateau if family.startswith("plateau") else preset.beta_gaussian
    return generator.uniform(low, 1) if generator.random() < 0.5 else generator.uniform(1, high)


def _shrink(factors: Range, up_down_keep: tuple[float, float, float], generator: np.random.Generator) -> Shrink:
    way = generator.choice(3, p=up_down_keep)
    factor = (generator.uniform(1, factors[1]), generator.uniform(factors[0], 1), 1.0)[way]
    return Shrink(float(factor), _mode(generator))


def _noise(preset: Preset, gaussian: Range, poisson: Range, generator: np.random.Generator) -> Noise:
    is_gaussian = generator.random() < preset.gaussian
    level = generator.uniform(*(gaussian if is_gaussian else poisson))
    return Noise("gaussian" if is_gaussian else "poisson", level, bool(generator.random() < preset.grey))


def _quality(quality: Range, generator: np.random.Generator) -> int:
    return int(generator.integers(round(quality[0]), round(quality[1]), endpoint=True))


def _size(preset: Preset, generator: np.random.Generator) -> int:
    return int(generator.choice(preset.kernel_sizes))


def _mode(generator: np.random.Generator) -> Mode:
    return MODES[generator.integers(len(MODES))]
