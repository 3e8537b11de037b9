"""Where a curve known up to now has its knee, and where it began to oscillate. Pure: no memory, no steps, no units."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from linearsr.schedules.knee_point.signal import (
    CLEAR_RANGE,
    Curve,
    centred_median,
    first_at_least,
    middle,
    noise_scale,
    noise_scales,
    rising_fit,
    says_something,
    trailing_median,
)

FEWEST = 6
"""Evaluations before anything is said: four second differences, and a rise to compare them with."""
LOOK_AHEAD, OFTEN = 6, 1 / 3
"""An oscillation is a fall that is met in a third of six evaluations: of a sine's values most lie below its peaks."""
MOSTLY = 1 / 2
"""A decline, which no rise came before, is met in half of `patience` evaluations: a warm-up's dip is over by then."""
NOISE_FACTOR = 3.0
"""Noise scales that a fall must exceed."""
REFINEMENTS = 2
"""The level of a plateau is first its best median, then twice the median from the knee on: the best of many is too high."""
CAUTION = 3.0
"""Tolerances below the level before which no later evaluation is expected to move the knee."""


@dataclass(frozen=True)
class Options:
    """As in KneeDetector."""

    epsilon: float
    window: int
    drawdown: float
    patience: int


@dataclass(frozen=True)
class Reading:
    """Indices of evaluations, None where there is nothing to say; knee ≤ peak < onset.

    earliest: where the knee may still move to; peak: of one curve, the best median before the onset
    """

    knee: int | None = None
    onset: int | None = None
    earliest: int = 0
    peak: int | None = None

    def not_before(self, floor: int) -> Reading:
        """The knee at `floor` or after, the onset after it, as was promised when `floor` was the earliest."""
        return replace(
            self,
            knee=None if self.knee is None else max(self.knee, floor),
            onset=None if self.onset is None else max(self.onset, floor + 1),
            earliest=max(self.earliest, floor),
        )


def read_curve(curve: Curve, options: Options) -> Reading:
    """The knee is the first evaluation whose monotone fit comes within epsilon of the plateau, of the rise so far."""
    smooth = trailing_median(curve, options.window)
    if len(curve) < FEWEST or not says_something(smooth, noise_scale(curve)):
        return Reading()
    onset = _onset(curve, smooth, options)
    peak = max(range(len(curve) if onset is None else onset), key=smooth.__getitem__)
    fit = rising_fit(centred_median(curve[: peak + 1], options.window))

    def near(level: float, tolerance: float) -> int:
        return first_at_least(fit, level - tolerance * (level - fit[0]), otherwise=peak)

    level = smooth[peak]
    for _ in range(REFINEMENTS):
        level = middle(sorted(curve[near(level, options.epsilon) : peak + 1]))
    knee = near(level, options.epsilon)
    cautious = min(near(level, CAUTION * options.epsilon), len(curve) - 1 - options.patience)
    return Reading(knee, onset, max(0, min(knee, cautious)), peak)


def _onset(curve: Curve, smooth: Curve, options: Options) -> int | None:
    """The first fall from the best median so far that lasts and that no later gain makes good."""
    noise, final = noise_scales(curve), max(smooth)
    span = final - min(smooth)
    best = lowest = valley = smooth[0]
    oscillates, declines = [], []
    for value, median, sigma in zip(curve, smooth, noise, strict=True):
        lowest = min(lowest, median)
        if median > best:
            best, valley = median, lowest
        rise, fall = best - valley, best - value
        made_good = final > best + max(options.epsilon * rise, NOISE_FACTOR * sigma / math.sqrt(options.window))
        risen = rise > CLEAR_RANGE * sigma
        oscillates.append(not made_good and risen and fall > max(options.drawdown * rise, NOISE_FACTOR * sigma))
        declines.append(not made_good and fall > max(options.drawdown * span, CLEAR_RANGE * sigma))
    found = (
        _lasting(oscillates, LOOK_AHEAD, OFTEN, start=FEWEST),
        _lasting(declines, options.patience, MOSTLY, start=1),
    )
    return min((i for i in found if i is not None), default=None)


def _lasting(marks: Sequence[bool], width: int, share: float, start: int) -> int | None:
    """The first mark with marks on at least that share of the `width` evaluations from it on, all of them known."""
    whole = range(start, len(marks) - width + 1)
    return next((i for i in whole if marks[i] and sum(marks[i : i + width]) >= share * width), None)
