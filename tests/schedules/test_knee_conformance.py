"""The check of knee detectors finds what is wrong: a broken one for each law that a plugin could plausibly break."""

import math
from dataclasses import replace
from functools import cache

import pytest

from linearsr.schedules import KneeDetector, KneeState
from linearsr.schedules.conformance import check_knee_detector


class BestMetric(KneeDetector):
    """The best so far, confirmed at once and again and again."""

    def update(self, step, metrics):
        super().update(step, metrics)
        best = max(range(len(self.steps)), key=self.values()["psnr"].__getitem__)
        self.state = replace(self.state, knee_step=self.steps[best], confirmed=len(self.steps) > 5, onset_step=None)
        return self.state


class LooksAtUnits(KneeDetector):
    def update(self, step, metrics):
        state = super().update(step, metrics)
        return replace(state, confidence=min(1.0, abs(metrics["psnr"])))


class LooksAtSteps(KneeDetector):
    def update(self, step, metrics):
        state = super().update(step, metrics)
        return state if state.knee_step is None else replace(state, knee_step=state.knee_step + step % 100)


class Forgets(KneeDetector):
    def load_state_dict(self, state):
        """Begins anew."""


class PromisesTooMuch(KneeDetector):
    """Says that only the last evaluation can be the knee."""

    def update(self, step, metrics):
        return replace(super().update(step, metrics), earliest_possible=step)


class AlwaysAnswers(KneeDetector):
    def update(self, step, metrics):
        return replace(super().update(step, metrics), knee_step=self.steps[0])


class TakesAnything(KneeDetector):
    def update(self, step, metrics):
        return super().update(step, metrics) if metrics and step not in self.steps else KneeState()


class SkipsFailures(KneeDetector):
    def update(self, step, metrics):
        good = {name: 0.0 if math.isnan(value) else value for name, value in metrics.items()}
        return super().update(step, good)


@cache
def report_of(broken):
    return check_knee_detector(lambda: broken({"psnr": 1}))


@pytest.mark.parametrize(
    ("broken", "law"),
    [
        (BestMetric, "a confirmed knee stays"),
        (BestMetric, "the knee of a clear curve"),
        (LooksAtUnits, "units do not count"),
        (LooksAtSteps, "only the order of the steps"),
        (Forgets, "as if uninterrupted"),
        (PromisesTooMuch, "not before the earliest possible"),
        (AlwaysAnswers, "two evaluations are undetermined"),
        (AlwaysAnswers, "a constant is undetermined"),
        (TakesAnything, "a metric that is lacking is refused"),
        (TakesAnything, "a step that does not increase is refused"),
        (SkipsFailures, "NaN after a rise"),
    ],
)
def test_a_broken_detector_is_told_which_law_it_breaks(broken, law):
    assert any(law in finding.law for finding in report_of(broken).failed), str(report_of(broken))
