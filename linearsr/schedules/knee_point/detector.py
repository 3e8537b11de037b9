"""The last good iteration before oscillation, found while training goes on (LinearSR's knee-point; the detector is our choice).

Every later stage starts from the knee of the one before. Only the order of evaluations counts, not the distance of their steps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from itertools import product
from typing import Any

import numpy as np

from linearsr.core.errors import ConfigError
from linearsr.core.registries import KNEE_DETECTORS
from linearsr.schedules.knee_point.checks import Step, checked_directions, checked_evaluation, checked_options, checked_step
from linearsr.schedules.knee_point.policy import choose_policy
from linearsr.schedules.knee_point.reading import Options, Reading
from linearsr.schedules.knee_point.signal import Matrix
from linearsr.schedules.knee_point.state import KneeState, MetricKnee, Verdict, find_conflict, phase_of

EPSILONS, WINDOWS = (0.8, 1.0, 1.25), (-2, 0, 2)
"""What confidence tries: a tolerance a quarter more or less, a window of one evaluation more or less on either side."""
GAIN = 2.0
"""Epsilons above the confirmed plateau that are a real gain; noise of 0.06 of the rise is now and then above one."""
CLOSE = 1
"""Evaluations by which a variant may differ and still agree."""


@KNEE_DETECTORS.register_module()
class KneeDetector:
    """Fed with every validation in turn; what it says after n of them depends on those n alone.

    directions: metric -> +1 where higher is better, −1 where lower is
    epsilon:    share of the rise that may be missing at the knee
    window:     evaluations in a running median, odd
    drawdown:   share of the rise whose loss is an oscillation
    patience:   evaluations without a gain that confirm the knee; choose it longer than the flat stretches between two gains
    policy:     what several metrics make together: "median" (the knee of their median curve), "any" (the first that stops to
                gain, or falls), "all" (the last), or the name of the metric that decides
    Raises ConfigError for values out of range. docs/knee.md has what the defaults were measured to do.
    """

    def __init__(
        self,
        directions: Mapping[str, int],
        epsilon: float = 0.05,
        window: int = 5,
        drawdown: float = 0.15,
        patience: int = 12,
        policy: str = "median",
    ):
        self.directions = checked_directions(directions)
        self.options = checked_options(Options(epsilon, window, drawdown, patience))
        self.policy = choose_policy(policy, list(self.directions))
        self.state = KneeState()
        """What the last `update` returned."""
        self._steps: list[Step] = []
        self._rows: list[list[float]] = []
        self._floor = 0
        self._verdict: Verdict | None = None

    def update(self, step: Step, metrics: Mapping[str, float]) -> KneeState:
        """One evaluation, with exactly the metrics of `directions`. A figure that is not finite counts as an oscillation.

        Raises ConfigError, and changes nothing, if a metric is lacking, unknown or no number, or if step does not increase.
        """
        self._append(step, metrics)
        rows = self._matrix()
        self._verdict = self._confirm(rows) if self._verdict is None else self._follow(rows, self._verdict)
        self.state = self._describe(rows)
        return self.state

    def state_dict(self) -> dict[str, Any]:
        """Plain JSON types: the evaluations and what was decided; None stands for a figure that was not finite."""
        return {
            "directions": dict(self.directions),
            "steps": list(self._steps),
            "values": {name: [_or_none(value) for value in column] for name, column in self.values().items()},
            "floor": self._floor,
            "verdict": None if self._verdict is None else asdict(self._verdict),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on as if never interrupted. Raises ConfigError if the state is of other metrics or directions."""
        if state["directions"] != self.directions:
            raise ConfigError(
                f"the saved knee detector has directions {state['directions']}, this one {self.directions}; "
                f"set knee.directions to the former, or begin without the saved state"
            )
        self._steps, self._rows = [], []
        for i, step in enumerate(state["steps"]):
            self._append(step, {name: _or_nan(column[i]) for name, column in state["values"].items()})
        self._floor = state["floor"]
        self._verdict = None if state["verdict"] is None else Verdict(**state["verdict"])
        self.state = self._describe(self._matrix()) if self._steps else KneeState()

    @property
    def steps(self) -> tuple[Step, ...]:
        return tuple(self._steps)

    def values(self) -> dict[str, list[float]]:
        """metric -> what was given at each step, NaN where that was not finite."""
        columns = zip(self.directions.items(), self._matrix().T, strict=True)
        return {name: (sign * column).tolist() for (name, sign), column in columns}

    def _append(self, step: Step, metrics: Mapping[str, float]) -> None:
        given = checked_evaluation(metrics, self.directions)
        self._steps.append(checked_step(step, self._steps[-1] if self._steps else None))
        self._rows.append([sign * given[name] for name, sign in self.directions.items()])

    def _matrix(self) -> Matrix:
        """[evaluations, metrics], higher is better."""
        return np.array(self._rows, dtype=np.float64).reshape(len(self._rows), len(self.directions))

    def _read(self, rows: Matrix) -> Reading:
        return self.policy.read(rows, self.options).not_before(self._floor)

    def _confirm(self, rows: Matrix) -> Verdict | None:
        reading, last = self._read(rows), len(rows) - 1
        self._floor = reading.earliest
        if reading.knee is None or (reading.onset is None and last - reading.knee < self.options.patience):
            return None
        self._floor = reading.knee
        return Verdict(reading.knee, last, self._agreement(rows, reading.knee), reading.onset)

    def _follow(self, rows: Matrix, verdict: Verdict) -> Verdict:
        """Adds the onset and the gain that come after a confirmation, the first of each."""
        gain = self.policy.read_finite(rows, replace(self.options, epsilon=GAIN * self.options.epsilon)).knee
        if verdict.superseded is None and gain is not None and gain > verdict.at:
            verdict = replace(verdict, superseded=gain)
        return verdict if verdict.onset is not None else replace(verdict, onset=self._read(rows).onset)

    def _agreement(self, rows: Matrix, knee: int) -> float:
        """Share of the variants, without the detector's own settings, whose knee is close."""
        mine = self.options
        settings = [replace(mine, epsilon=mine.epsilon * e, window=mine.window + w) for e, w in product(EPSILONS, WINDOWS)]
        variants = [(self.policy, other) for other in settings if other != mine]
        variants += [(fewer, mine) for fewer in self.policy.without(rows)]
        knees = [policy.read(rows, options).knee for policy, options in variants]
        return sum(other is not None and abs(other - knee) <= CLOSE for other in knees) / len(knees)

    def _describe(self, rows: Matrix) -> KneeState:
        reading, last, verdict = self._read(rows), len(rows) - 1, self._verdict
        if verdict is None:
            confidence = 0.0 if reading.knee is None else self._agreement(rows, reading.knee)
            said, superseded = reading, None
        else:
            confidence, superseded = verdict.confidence, verdict.superseded
            said = Reading(verdict.knee, verdict.onset)
        alone = dict(zip(self.directions, self.policy.alone(rows, self.options), strict=True))
        return KneeState(
            phase=phase_of(said if superseded is None else reading, last, self.options),
            knee_step=self._step(said.knee),
            confirmed=verdict is not None,
            confidence=confidence,
            onset_step=self._step(said.onset),
            superseded=self._step(superseded),
            earliest_possible=self._step(self._floor),
            per_metric={name: self._metric_knee(one, last) for name, one in alone.items()},
            conflict=find_conflict(alone, self.options),
        )

    def _metric_knee(self, reading: Reading, last: int) -> MetricKnee:
        return MetricKnee(phase_of(reading, last, self.options), self._step(reading.knee), self._step(reading.onset))

    def _step(self, index: int | None) -> Step | None:
        return None if index is None else self._steps[index]


def _or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value
