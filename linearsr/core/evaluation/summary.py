"""Figures of single pictures, brought together: rows for tables and files, flat names for the logger."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypedDict, TypeVar

Figures = dict[str, float | None]
"""Measure -> figure; None where the measure is undefined for the picture. A model's also hold "seconds"."""

Row = dict[str, Any]

T = TypeVar("T")

ALWAYS = ("psnr_y", "ssim_y", "niqe")
"""Columns that every row has; None where they were not measured."""


class PictureResult(TypedDict):
    """All figures of one picture; plain numbers, so that ranks can send it to one another."""

    dataset: str
    name: str
    bicubic: Figures
    model: dict[int, Figures]


def summarise(results: Sequence[PictureResult], names: Sequence[str], crop_border: int) -> list[Row]:
    """One row per data set and method, and per num_steps for the model, in the order in which they came.

    A figure is the mean over the pictures for which it is defined; "num_measured" says over how many.
    """
    rows = []
    for dataset in _in_order(r["dataset"] for r in results):
        own = [r for r in results if r["dataset"] == dataset]
        rows.append(_row(dataset, "bicubic", None, [r["bicubic"] for r in own], names, crop_border))
        for steps in _steps(own):
            figures = [r["model"][steps] for r in own if steps in r["model"]]
            rows.append(_row(dataset, "model", steps, figures, names, crop_border))
    return rows


def flat_figures(results: Sequence[PictureResult], names: Sequence[str]) -> dict[str, float]:
    """ "Set5/psnr_y@4" per data set and num_steps, "psnr_y" over all pictures at the first num_steps, and both for bicubic:
    "bicubic/Set5/psnr_y", "bicubic/psnr_y". A measure that is undefined for every picture is left out.
    """
    every_step = _steps(results)
    flat: Figures = {}
    for name in names:
        first = [r["model"].get(every_step[0], {}) for r in results] if every_step else []
        flat[name] = mean_defined(first, name)
        flat[f"bicubic/{name}"] = mean_defined([r["bicubic"] for r in results], name)
        for dataset in _in_order(r["dataset"] for r in results):
            own = [r for r in results if r["dataset"] == dataset]
            flat[f"bicubic/{dataset}/{name}"] = mean_defined([r["bicubic"] for r in own], name)
            for steps in _steps(own):
                flat[f"{dataset}/{name}@{steps}"] = mean_defined([r["model"].get(steps, {}) for r in own], name)
    return {key: value for key, value in flat.items() if value is not None}


def mean_defined(figures: Iterable[Figures], name: str) -> float | None:
    """The mean of `name` over those that have it; None if none has. NaN and Inf are figures and stay visible."""
    values = _defined(figures, name)
    return sum(values) / len(values) if values else None


def _row(dataset: str, method: str, steps: int | None, figures: list[Figures], names: Sequence[str], crop_border: int) -> Row:
    return {
        "dataset": dataset,
        "method": method,
        "num_steps": steps,
        **{name: mean_defined(figures, name) for name in (*ALWAYS, *names)},
        "crop_border": crop_border,
        "num_images": len(figures),
        "num_measured": {name: len(_defined(figures, name)) for name in names},
        "seconds_per_image": mean_defined(figures, "seconds"),
    }


def _defined(figures: Iterable[Figures], name: str) -> list[float]:
    return [value for value in (f.get(name) for f in figures) if value is not None]


def _steps(results: Iterable[PictureResult]) -> list[int]:
    return _in_order(steps for r in results for steps in r["model"])


def _in_order(values: Iterable[T]) -> list[T]:
    return list(dict.fromkeys(values))
