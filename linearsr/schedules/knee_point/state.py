"""What a knee detector says after an evaluation, and what it keeps of what it said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from itertools import product
from typing import Any

from linearsr.schedules.knee_point.checks import Step
from linearsr.schedules.knee_point.reading import Options, Reading


class Phase(StrEnum):
    UNDETERMINED = "undetermined"
    """Too few evaluations, or none that tells more than noise."""
    IMPROVE = "improve"
    PLATEAU = "plateau"
    OSCILLATION = "oscillation"
    """What was gained has been lost again, or a figure was not finite."""


@dataclass(frozen=True)
class MetricKnee:
    """One metric, read alone."""

    phase: Phase = Phase.UNDETERMINED
    knee_step: Step | None = None
    onset_step: Step | None = None


@dataclass(frozen=True)
class Conflict:
    """Names of metrics: one of `falling` fell from its best, of which each of `rising` is a window or more behind."""

    falling: tuple[str, ...]
    rising: tuple[str, ...]


@dataclass(frozen=True)
class KneeState:
    """phase:             of the last evaluation
    knee_step:         step of the knee; moves until it is confirmed, never afterwards
    confirmed:         `patience` evaluations without a gain, or an onset
    confidence:        0..1, the share of variants (epsilon, window, one metric left out) whose knee is within one evaluation
    onset_step:        where the oscillation began; always after the knee
    superseded:        step of the first real gain after the confirmation; the knee stays
    earliest_possible: the first step that is the knee or may still become it; checkpoints before it can go
    per_metric:        what each metric says alone, by name
    conflict:          metrics that disagree, or None
    """

    phase: Phase = Phase.UNDETERMINED
    knee_step: Step | None = None
    confirmed: bool = False
    confidence: float = 0.0
    onset_step: Step | None = None
    superseded: Step | None = None
    earliest_possible: Step | None = None
    per_metric: Mapping[str, MetricKnee] = field(default_factory=dict)
    conflict: Conflict | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)


@dataclass(frozen=True)
class Verdict:
    """A confirmed knee, in indices of evaluations. at: the evaluation that confirmed it; onset and superseded may follow."""

    knee: int
    at: int
    confidence: float
    onset: int | None = None
    superseded: int | None = None


def phase_of(reading: Reading, last: int, options: Options) -> Phase:
    """Of evaluation `last`; a plateau is a window without gain."""
    if reading.onset is not None:
        return Phase.OSCILLATION
    if reading.knee is None:
        return Phase.UNDETERMINED
    return Phase.PLATEAU if last - reading.knee >= options.window else Phase.IMPROVE


def find_conflict(alone: Mapping[str, Reading], options: Options) -> Conflict | None:
    """alone: each metric's own reading."""
    pairs = [(a, b) for a, b in product(alone, alone) if _outlasts(alone[b], alone[a], options.window)]
    falling, rising = ({pair[side] for pair in pairs} for side in (0, 1))
    return Conflict(tuple(sorted(falling)), tuple(sorted(rising))) if pairs else None


def _outlasts(rising: Reading, falling: Reading, window: int) -> bool:
    if rising.knee is None or falling.peak is None or falling.onset is None:
        return False
    fell_too = rising.onset is not None and rising.onset < falling.onset + window
    return rising.knee >= falling.peak + window and not fell_too
