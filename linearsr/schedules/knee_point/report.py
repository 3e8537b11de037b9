"""What a detector makes of a whole log: its last word, each metric's own knee, conflicts, and a second opinion."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from linearsr.core.errors import MissingExtraError
from linearsr.schedules.knee_point.checks import Step
from linearsr.schedules.knee_point.detector import KneeDetector
from linearsr.schedules.knee_point.log import Evaluation
from linearsr.schedules.knee_point.signal import Curve, fuse
from linearsr.schedules.knee_point.state import KneeState

if TYPE_CHECKING:
    from rich.console import Group

TOGETHER = "together"
"""The name of the row that stands for all metrics."""
POLYNOMIAL_DEGREE = 7
"""kneed's own."""


@dataclass(frozen=True)
class KneeReport:
    """values: metric -> figure of each step; confirmed_at: the step at which the knee was confirmed;
    second_opinion: metric, or TOGETHER for their median curve -> step of kneed's knee; None without kneed."""

    log: str
    steps: tuple[Step, ...]
    values: dict[str, list[float]]
    directions: dict[str, int]
    window: int
    state: KneeState
    confirmed_at: Step | None
    second_opinion: dict[str, Step | None] | None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; the evaluations are in the log."""
        return {
            "log": self.log,
            "evaluations": len(self.steps),
            **self.state.to_dict(),
            "confirmed_at": self.confirmed_at,
            "second_opinion": self.second_opinion,
        }

    def __rich__(self) -> Group:
        from rich.console import Group
        from rich.markup import escape
        from rich.table import Table
        from rich.text import Text

        opinion, state = self.second_opinion or {}, self.state
        title = Text(f"{self.log}, {len(self.steps)} evaluations", "bold")
        table = Table()
        for heading in ("metric", "phase", "knee", "onset", "confidence", "kneed, polynomial"):
            table.add_column(heading, justify="left" if heading in ("metric", "phase") else "right")
        sure = f"{state.confidence:.0%}"
        table.add_row(TOGETHER, state.phase, *_cells(state.knee_step, state.onset_step), sure, *_cells(opinion.get(TOGETHER)))
        for name, one in state.per_metric.items():
            cells = _cells(one.knee_step, one.onset_step)
            table.add_row(escape(name), one.phase, *cells, "", *_cells(opinion.get(name)))
        return Group(title, table, *(Text(remark) for remark in self._remarks()))

    def _remarks(self) -> list[str]:
        state = self.state
        remarks = [f"the knee was confirmed at step {self.confirmed_at}" if state.confirmed else "the knee is not confirmed"]
        if state.superseded is not None:
            remarks.append(f"superseded: step {state.superseded} brought a real gain after that")
        if state.conflict is not None:
            falling, rising = ", ".join(state.conflict.falling), ", ".join(state.conflict.rising)
            remarks.append(f"conflict: {rising} still gained when {falling} had fallen; see --policy")
        if self.second_opinion is None:
            remarks.append("no second opinion: pip install 'linearsr[knee]'")
        return remarks


def replay(log: str, evaluations: Iterable[Evaluation], detector: KneeDetector) -> KneeReport:
    """Feeds a new detector with all of them. Raises ConfigError for what `update` refuses."""
    confirmed_at: Step | None = None
    for one in evaluations:
        if detector.update(one.step, one.metrics).confirmed and confirmed_at is None:
            confirmed_at = one.step
    try:
        opinion = second_opinion(detector)
    except MissingExtraError:
        opinion = None
    window = detector.options.window
    return KneeReport(
        log, detector.steps, detector.values(), detector.directions, window, detector.state, confirmed_at, opinion
    )


def second_opinion(detector: KneeDetector) -> dict[str, Step | None]:
    """kneed's knee of the whole curve, in its polynomial mode, on the evaluation index: offline, blind to the oscillation."""
    names = list(detector.directions)
    rows = np.array([[sign * value for value in detector.values()[name]] for name, sign in detector.directions.items()]).T
    finite = np.flatnonzero(np.isfinite(rows).all(1))
    curves: dict[str, Curve] = {name: rows[finite, column].tolist() for column, name in enumerate(names)}
    if len(finite) and (together := fuse(rows[finite], detector.options.window)) is not None:
        curves[TOGETHER] = together
    knees = {name: kneed_polynomial(curve) for name, curve in curves.items()}
    return {name: None if knee is None else detector.steps[finite[knee]] for name, knee in knees.items()}


def kneed_polynomial(curve: Curve) -> int | None:
    """Index of Kneedle's knee of a fitted polynomial (Satopää et al. 2011). Raises MissingExtraError without kneed."""
    try:
        from kneed import KneeLocator
    except ModuleNotFoundError as error:
        raise MissingExtraError("A second opinion on the knee", "kneed", "knee") from error
    if len(curve) < POLYNOMIAL_DEGREE + 2 or max(curve) <= min(curve):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns where it finds none
        knee = KneeLocator(range(len(curve)), curve, curve="concave", direction="increasing", interp_method="polynomial").knee
    return None if knee is None else int(knee)


def _cells(*steps: Step | None) -> list[str]:
    return ["–" if step is None else str(step) for step in steps]
