"""The settings of the second-order degradation that are in use. They are not compatible: results differ with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from linearsr.core.data.degradations.preset_checks import check_preset
from linearsr.core.errors import ConfigError, nearest

Range = tuple[float, float]


@dataclass(frozen=True)
class Preset:
    """Pairs of the first and the second stage end in _1 and _2; ranges are uniform and closed.

    blur_sigma: pixels, along each axis · beta_gaussian, beta_plateau: exponents of the generalised and plateau kernels ·
    resize: factors of the HR side (first) and of the LR side (second) · gaussian_noise: σ of 255 levels · poisson_noise:
    scale of shot noise · jpeg: quality, whole numbers · second_blur: probability of the second blur · sinc: probability
    that a blur is a sinc · final_sinc: probability of the last filter · families: probability of each kernel family ·
    resize_up_down_keep: probabilities · gaussian: probability of Gaussian rather than Poisson noise · grey: probability of
    grey noise · kernel_sizes: odd, pixels, equally likely

    Raises ConfigError for what cannot be drawn from: see `check_preset`.
    """

    source: str
    blur_sigma_1: Range
    blur_sigma_2: Range
    beta_gaussian: Range
    beta_plateau: Range
    resize_1: Range
    resize_2: Range
    gaussian_noise_1: Range
    gaussian_noise_2: Range
    poisson_noise_1: Range
    poisson_noise_2: Range
    jpeg_1: Range
    jpeg_2: Range
    second_blur: float
    sinc_1: float = 0.1
    sinc_2: float = 0.1
    final_sinc: float = 0.8
    families: tuple[float, ...] = (0.45, 0.25, 0.12, 0.03, 0.12, 0.03)
    resize_up_down_keep_1: tuple[float, float, float] = (0.2, 0.7, 0.1)
    resize_up_down_keep_2: tuple[float, float, float] = (0.3, 0.4, 0.3)
    gaussian: float = 0.5
    grey: float = 0.4
    kernel_sizes: tuple[int, ...] = (7, 9, 11, 13, 15, 17, 19, 21)

    def __post_init__(self) -> None:
        check_preset(self)


PRESETS: dict[str, Preset] = {
    "StableSR": Preset(
        source="StableSR (Wang et al., IJCV 2024): IceClear/StableSR, configs/stableSRNew/v2-finetune_text_T_512.yaml",
        blur_sigma_1=(0.2, 1.5), blur_sigma_2=(0.2, 1.0), beta_gaussian=(0.5, 2.0), beta_plateau=(1.0, 1.5),
        resize_1=(0.3, 1.5), resize_2=(0.6, 1.2), gaussian_noise_1=(1, 15), gaussian_noise_2=(1, 12),
        poisson_noise_1=(0.05, 2.0), poisson_noise_2=(0.05, 1.0), jpeg_1=(60, 95), jpeg_2=(60, 100), second_blur=0.5,
    ),
    "SeeSR": Preset(
        source="SeeSR (Wu et al., CVPR 2024): cswry/SeeSR, dataloaders/params_realesrgan.yml",
        blur_sigma_1=(0.2, 3.0), blur_sigma_2=(0.2, 1.5), beta_gaussian=(0.5, 4.0), beta_plateau=(1.0, 2.0),
        resize_1=(0.3, 1.5), resize_2=(0.6, 1.2), gaussian_noise_1=(1, 15), gaussian_noise_2=(1, 12),
        poisson_noise_1=(0.05, 2.0), poisson_noise_2=(0.05, 1.0), jpeg_1=(60, 95), jpeg_2=(60, 100), second_blur=0.5,
    ),
    "SeeSRPaired": Preset(
        source="cswry/SeeSR, utils_data/make_paired_data.py; OSEDiff (NeurIPS 2024): dataloaders/params_realesrgan.yml",
        blur_sigma_1=(0.2, 3.0), blur_sigma_2=(0.2, 1.5), beta_gaussian=(0.5, 4.0), beta_plateau=(1.0, 2.0),
        resize_1=(0.15, 1.5), resize_2=(0.3, 1.2), gaussian_noise_1=(1, 30), gaussian_noise_2=(1, 25),
        poisson_noise_1=(0.05, 3.0), poisson_noise_2=(0.05, 2.5), jpeg_1=(30, 95), jpeg_2=(30, 95), second_blur=0.8,
    ),
}  # fmt: skip
"""All are for ×4. What they share (defaults of Preset) is Real-ESRGAN's (Wang et al., ICCVW 2021, §4.1), and so is all of
SeeSRPaired: xinntao/Real-ESRGAN, options/train_realesrgan_x4plus.yml."""


def preset(name: str, overrides: Mapping[str, Any] | None = None) -> Preset:
    """One of PRESETS with some fields changed. Raises ConfigError for a name or a field that is not there, and for a range or
    a probability that cannot be drawn from."""
    if name not in PRESETS:
        raise ConfigError(
            f"no degradation preset is called {name!r}{nearest(name, PRESETS) or '.'} Wanted one of {', '.join(PRESETS)}"
        )
    known = [field.name for field in fields(Preset) if field.name != "source"]
    changed: dict[str, Any] = {}
    for key, value in (overrides or {}).items():
        if key not in known:
            hint = nearest(key, known) or "."
            raise ConfigError(f"a degradation preset has no {key!r}{hint} Its fields: {', '.join(known)}")
        changed[key] = tuple(value) if isinstance(value, list | tuple) else value
    if changed:
        changed["source"] = f"{PRESETS[name].source}; changed: {', '.join(overrides or ())}"
    return replace(PRESETS[name], **changed)
