"""What a validation curve consists of: windows' medians, a noise scale, its monotone rise. Pure functions of numbers.

A curve is a sequence of evaluations, oriented so that higher is better. Medians and the rise of a·curve + b are a·result + b
for a > 0, noise scales are a·scale.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Curve = Sequence[float]
Matrix = NDArray[np.float64]
"""[evaluations, metrics]"""

NORMAL_MAD = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""
SECOND_DIFFERENCE = math.sqrt(6)
"""Standard deviation of x[i] − 2 x[i+1] + x[i+2] over that of independent x."""
CLEAR_RANGE = 6.0
"""Noise scales that a curve must span to say anything; medians of five from pure noise span about three."""


def middle(ordered: Curve) -> float:
    """The median of numbers in ascending order."""
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def trailing_median(curve: Curve, width: int) -> list[float]:
    """Of each evaluation and the width − 1 before it, fewer at the start. width: odd."""
    start = [middle(sorted(curve[: i + 1])) for i in range(min(width - 1, len(curve)))]
    return start + _full_medians(curve, width)


def centred_median(curve: Curve, width: int) -> list[float]:
    """Of `width` (odd) evaluations around each, and of fewer at both ends, as many before as after."""
    reach = min(width // 2, (len(curve) - 1) // 2)
    start = [middle(sorted(curve[: 2 * i + 1])) for i in range(reach)]
    end = [middle(sorted(curve[-2 * i - 1 :])) for i in reversed(range(reach))]
    return start + _full_medians(curve, 2 * reach + 1) + end


def _full_medians(curve: Curve, width: int) -> list[float]:
    if len(curve) < width:
        return []
    windows = np.asarray(curve)[np.arange(len(curve) - width + 1)[:, None] + np.arange(width)]
    return list(np.sort(windows, axis=1)[:, width // 2].tolist())


def noise_scale(curve: Curve) -> float:
    """Standard deviation of the noise, from the median second difference, which a smooth rise and a few jumps leave alone.

    0 for fewer than three evaluations.
    """
    differences = np.sort(_second_differences(curve))
    return NORMAL_MAD * middle(differences.tolist()) / SECOND_DIFFERENCE if len(differences) else 0.0


def noise_scales(curve: Curve) -> list[float]:
    """The noise scale of what came before each evaluation."""
    scales, ordered = [0.0] * min(3, len(curve)), list[float]()
    for difference in _second_differences(curve)[:-1].tolist():
        insort(ordered, difference)
        scales.append(NORMAL_MAD * middle(ordered) / SECOND_DIFFERENCE)
    return scales


def _second_differences(curve: Curve) -> NDArray[np.float64]:
    values = np.asarray(curve, dtype=np.float64)
    return np.abs(values[:-2] - 2 * values[1:-1] + values[2:])


def rising_fit(curve: Curve) -> list[float]:
    """The closest curve that never falls, in least squares: pool adjacent violators (Ayer et al. 1955)."""
    blocks: list[tuple[float, int]] = []
    for value in curve:
        mean, count = value, 1
        while blocks and blocks[-1][0] >= mean:
            before, many = blocks.pop()
            mean, count = (before * many + mean * count) / (many + count), many + count
        blocks.append((mean, count))
    return [mean for mean, count in blocks for _ in range(count)]


def says_something(smooth: Curve, noise: float) -> bool:
    """Whether the medians of a curve span more than those of its noise."""
    return max(smooth) - min(smooth) > CLEAR_RANGE * noise


def fuse(rows: Matrix, width: int) -> list[float] | None:
    """One curve in 0..1, about: the median of the metrics, each over its own range. Those within their noise are left out;
    None if all are. The order of the metrics, their units, and a metric given twice as often as the others change nothing.
    """
    scaled = [unit for column in rows.T if (unit := _unit(column, width)) is not None]
    return list(np.median(scaled, axis=0).tolist()) if scaled else None


def _unit(column: NDArray[np.float64], width: int) -> NDArray[np.float64] | None:
    smooth = centred_median(column.tolist(), width)
    if not says_something(smooth, noise_scale(column.tolist())):
        return None
    low, high = min(smooth), max(smooth)
    return (column - low) / (high - low)


def first_at_least(curve: Curve, level: float, otherwise: int) -> int:
    """Index of the first evaluation that reaches the level."""
    return next((i for i, value in enumerate(curve) if value >= level), otherwise)
