"""Metrics that disagree: what each policy makes of them, and what is reported."""

import math

import pytest

from linearsr.core.errors import ConfigError
from linearsr.schedules import Conflict, KneeDetector, Phase
from tests.schedules.knee_runs import follow

BOTH = {"psnr": 1, "musiq": 1}
DISAGREE = [[(1 - math.exp(-i / 3)) - 0.03 * max(0, i - 16), 1 - math.exp(-i / 10)] for i in range(60)]
"""PSNR has 95 % of its rise at 9, is best at 16 and falls from there on; MUSIQ has 95 % at 30."""


def last(policy, directions=BOTH, rows=DISAGREE, **settings):
    return follow(rows, directions, policy=policy, **settings)[-1]


@pytest.mark.parametrize("policy", ["median", "any", "all", "psnr", "musiq"])
def test_a_conflict_is_reported_with_each_metrics_own_knee_whatever_the_policy(policy):
    state = last(policy)
    assert state.conflict == Conflict(falling=("psnr",), rising=("musiq",))
    assert abs(state.per_metric["psnr"].knee_step - 9) <= 2
    assert abs(state.per_metric["musiq"].knee_step - 30) <= 3
    assert state.per_metric["psnr"].phase == Phase.OSCILLATION
    assert state.per_metric["musiq"].onset_step is None


def test_any_is_the_first_to_stop_and_all_the_last():
    first, whole = last("any"), last("all", patience=20)
    assert first.knee_step == last("psnr").knee_step
    assert whole.knee_step == last("musiq", patience=20).knee_step
    assert first.onset_step is not None
    assert whole.onset_step is None
    assert first.knee_step < last("median").knee_step < whole.knee_step


def test_a_named_metric_decides_alone_but_a_failure_of_another_still_is_one():
    broken = [list(row) for row in DISAGREE]
    broken[20][1] = math.nan
    assert last("psnr", rows=broken).onset_step == 20


def test_metrics_that_agree_are_in_no_conflict():
    rows = [[min(i, 10) - 4 * (i > 40) * (i % 2), 3 * min(i, 11) - 9 * (i > 41) * (i % 2)] for i in range(60)]
    assert all(state.conflict is None for state in follow(rows, BOTH))


def test_a_metric_that_only_falls_is_in_conflict_with_one_that_rises():
    rows = [[-0.02 * i, 1 - math.exp(-i / 6)] for i in range(60)]
    state = last("musiq", rows=rows)
    assert state.conflict == Conflict(falling=("psnr",), rising=("musiq",))
    assert abs(state.knee_step - 18) <= 2


def test_a_policy_is_one_of_three_or_a_metric():
    with pytest.raises(ConfigError, match=r"knee.policy is 'medain'; did you mean 'median'.*median, any, all or a metric of"):
        KneeDetector(BOTH, policy="medain")
    with pytest.raises(ConfigError, match="a metric is called 'any'"):
        KneeDetector({"any": 1})
