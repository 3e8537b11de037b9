"""Feeding a knee detector, and what of its states must be equal under each law."""

from collections.abc import Mapping, Sequence
from typing import Any

from linearsr.schedules import KneeDetector, KneeState

Rows = Sequence[Sequence[float]]
SAID = ("phase", "knee_step", "confirmed", "confidence", "onset_step", "superseded", "earliest_possible")


def follow(rows: Rows, directions: Mapping[str, int], steps: Sequence[int] | None = None, **settings: Any) -> list[KneeState]:
    """The state after each evaluation. rows: [evaluations][metrics in the order of directions]; steps: 0, 1, … by default."""
    detector = KneeDetector(directions, **settings)
    steps = range(len(rows)) if steps is None else steps
    return [detector.update(step, dict(zip(directions, row, strict=True))) for step, row in zip(steps, rows, strict=True)]


def said(states: Sequence[KneeState]) -> list[dict[str, Any]]:
    """Without what each metric says alone, which depends on how many there are."""
    return [{field: getattr(state, field) for field in SAID} for state in states]
