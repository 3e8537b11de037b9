"""Names of measures, as a config writes them, and the functions behind the names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from torch import Tensor

from linearsr.core.errors import ConfigError, nearest
from linearsr.core.evaluation.fidelity import psnr, ssim
from linearsr.core.evaluation.niqe import NIQEParameters, niqe

Measure = Callable[[Tensor, Tensor | None], float | None]
"""measure(picture, hr), both image_01 [3, H, W] -> a figure, None where it is undefined for this picture."""

FULL_REFERENCE: Final[dict[str, Callable[..., float]]] = {
    "psnr_y": partial(psnr, channel="y"),
    "psnr_rgb": partial(psnr, channel="rgb"),
    "ssim_y": partial(ssim, channel="y"),
    "ssim_rgb": partial(ssim, channel="rgb"),
}
"""Those that compare with the HR picture; without one they are None."""

KNOWN: Final = (*FULL_REFERENCE, "niqe")


def measures_named(names: Sequence[str], *, crop_border: int, niqe_params: str | None) -> dict[str, Measure]:
    """In the order of `names`. Reads niqe_params at once, so that a wrong path fails before anything runs.

    Raises ConfigError for an unknown name or for "niqe" and niqe_params of which only one is given, WeightsError for the file.
    """
    for name in names:
        if name not in KNOWN:
            raise ConfigError(f"no measure named {name!r}{nearest(name, KNOWN)}; `metrics` may hold {', '.join(KNOWN)}")
    if ("niqe" in names) != (niqe_params is not None):
        raise ConfigError(
            f'metrics={list(names)} with niqe_params={niqe_params!r}: set both "niqe" and niqe_params, or neither'
        )
    measures: dict[str, Measure] = {
        name: _against_hr(FULL_REFERENCE[name], crop_border) for name in names if name in FULL_REFERENCE
    }
    if niqe_params is not None:
        measures["niqe"] = _without_hr(partial(niqe, parameters=NIQEParameters.load(niqe_params), crop_border=crop_border))
    return {name: measures[name] for name in names}


def _against_hr(function: Callable[..., float], crop_border: int) -> Measure:
    return lambda picture, hr: None if hr is None else function(picture, hr, crop_border=crop_border)


def _without_hr(function: Callable[[Tensor], float | None]) -> Measure:
    return lambda picture, hr: function(picture)
