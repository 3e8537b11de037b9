"""What a knee detector says does not depend on units, names, steps, or on being interrupted; and it keeps its word."""

import json
import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linearsr.schedules import KneeDetector, Phase
from linearsr.schedules.knee_point.reading import Reading
from tests.schedules.knee_runs import follow, said
from tests.strategies import validation_curves

FEW = settings(max_examples=12, deadline=None)
"""An example is some hundred readings of a curve."""
policies = st.sampled_from(["median", "any", "all", "b"])
three = validation_curves(metrics=3)
ABC = {"a": 1, "b": 1, "c": 1}
QUICK = {"patience": 6}
"""So that curves of 40 evaluations have a life after the confirmation."""


@FEW
@given(three, policies, st.lists(st.tuples(st.integers(-8, 8), st.integers(-100, 100)), min_size=3, max_size=3))
def test_a_metric_may_be_in_any_unit(rows, policy, units):
    other = [[value * 2.0**power + offset for value, (power, offset) in zip(row, units, strict=True)] for row in rows]
    assert follow(other, ABC, policy=policy, **QUICK) == follow(rows, ABC, policy=policy, **QUICK)


@FEW
@given(three, policies, st.integers(-8, 8))
def test_lower_is_better_is_higher_is_better_turned_round(rows, policy, power):
    other = [[a, -(b * 2.0**power) + 7, c] for a, b, c in rows]
    assert follow(other, {"a": 1, "b": -1, "c": 1}, policy=policy, **QUICK) == follow(rows, ABC, policy=policy, **QUICK)


@FEW
@given(three, policies, st.permutations(range(3)))
def test_the_order_of_the_metrics_does_not_matter(rows, policy, order):
    names = dict.fromkeys(("abc"[i] for i in order), 1)
    shuffled = [[row[i] for i in order] for row in rows]
    assert follow(shuffled, names, policy=policy, **QUICK) == follow(rows, ABC, policy=policy, **QUICK)


@FEW
@given(three, st.sampled_from(["median", "any", "all"]))
def test_every_metric_twice_says_the_same(rows, policy):
    twice = follow([[*row, *row] for row in rows], dict.fromkeys("abcdef", 1), policy=policy, **QUICK)
    assert said(twice) == said(follow(rows, ABC, policy=policy, **QUICK))


@FEW
@given(three, policies, st.lists(st.integers(1, 10**6), min_size=40, max_size=40))
def test_only_the_order_of_the_steps_matters(rows, policy, gaps):
    steps = [sum(gaps[: i + 1]) for i in range(len(rows))]
    index = {step: i for i, step in enumerate(steps)} | {None: None}
    for other, one in zip(follow(rows, ABC, steps, policy=policy), follow(rows, ABC, policy=policy), strict=True):
        moved = [getattr(other, name) for name in ("knee_step", "onset_step", "superseded", "earliest_possible")]
        here = [getattr(one, name) for name in ("knee_step", "onset_step", "superseded", "earliest_possible")]
        assert [index[step] for step in moved] == here
        assert (other.phase, other.confirmed, other.confidence) == (one.phase, one.confirmed, one.confidence)


@FEW
@given(three, policies, st.integers(0, 40))
def test_what_is_said_depends_on_the_evaluations_so_far_alone(rows, policy, cut):
    """Also when the rest is a collapse."""
    other = rows[:cut] + [[math.nan] * 3 for _ in rows[cut:]]
    assert follow(other, ABC, policy=policy, **QUICK)[:cut] == follow(rows, ABC, policy=policy, **QUICK)[:cut]


@FEW
@given(three, policies, st.integers(0, 40), st.booleans())
def test_saved_and_restored_it_goes_on_as_if_uninterrupted(rows, policy, cut, broken):
    if broken:
        rows[len(rows) // 2][1] = math.inf
    whole = follow(rows, ABC, policy=policy, **QUICK)
    first, second = (KneeDetector(ABC, policy=policy, **QUICK) for _ in range(2))
    for step, row in enumerate(rows[:cut]):
        first.update(step, dict(zip(ABC, row, strict=True)))
    second.load_state_dict(json.loads(json.dumps(first.state_dict(), allow_nan=False, sort_keys=True)))
    assert second.state == first.state
    assert second.state_dict() == first.state_dict()
    rest = [second.update(step, dict(zip(ABC, row, strict=True))) for step, row in enumerate(rows) if step >= cut]
    assert rest == whole[cut:]


@FEW
@given(three, policies, st.integers(1, 6), st.booleans())
def test_a_confirmed_knee_stays_before_any_onset_and_is_never_earlier_than_promised(rows, policy, patience, broken):
    if broken:
        rows[-1][0] = math.nan
    for before, after in pairwise(follow(rows, ABC, policy=policy, patience=patience)):
        assert after.earliest_possible >= before.earliest_possible
        if after.knee_step is not None:
            assert after.knee_step >= before.earliest_possible
            assert after.onset_step is None or after.onset_step > after.knee_step
            assert 0 <= after.confidence <= 1
        if before.confirmed:
            frozen = ("knee_step", "confirmed", "confidence", "earliest_possible")
            assert [getattr(after, name) for name in frozen] == [getattr(before, name) for name in frozen]
        for name in ("onset_step", "superseded"):
            if before.confirmed and getattr(before, name) is not None:
                assert getattr(after, name) == getattr(before, name)


@FEW
@given(validation_curves(), st.sampled_from(["constant", "short", "not finite"]))
def test_where_there_is_nothing_to_say_it_is_undetermined(rows, how):
    silent = {"constant": [rows[0]] * 40, "short": rows[:5], "not finite": [[math.nan]] * 40}[how]
    for state in follow(silent, {"psnr": 1}, patience=1):
        assert (state.phase, state.knee_step, state.onset_step, state.confirmed) == (Phase.UNDETERMINED, None, None, False)
        assert state.confidence == 0


@pytest.mark.parametrize("failed", [math.nan, math.inf, -math.inf])
def test_a_figure_that_is_not_finite_is_an_oscillation_and_confirms_the_knee_before_it(failed):
    rise = [[1 - 0.05 ** (i / 8)] * 2 for i in range(14)]
    before, after = follow([*rise, [1.0, failed]], {"a": 1, "b": 1})[-2:]
    assert (before.confirmed, after.confirmed) == (False, True)
    assert (after.phase, after.knee_step, after.onset_step) == (Phase.OSCILLATION, before.knee_step, 14)


def test_a_failure_before_there_is_a_knee_is_an_oscillation_and_is_forgotten():
    rise = [[1 - 0.05 ** (i / 8)] for i in range(30)]
    states = follow([rise[0], [math.nan], *rise[1:]], {"a": 1})
    assert [state.phase for state in states[:3]] == [Phase.UNDETERMINED, Phase.OSCILLATION, Phase.UNDETERMINED]
    assert states[-1].confirmed
    assert states[-1].onset_step is None


def test_a_real_gain_after_the_confirmation_supersedes_and_the_knee_stays():
    stairs = [[float(i > 2) + 0.5 * (i > 30)] for i in range(50)]
    states = follow(stairs, {"psnr": 1})
    assert states[28].confirmed
    assert states[28].superseded is None
    assert (states[-1].knee_step, states[-1].superseded) == (states[28].knee_step, 31)


def test_a_flat_stretch_shorter_than_patience_confirms_nothing():
    stairs = [[float(i > 2) + 0.5 * (i > 12)] for i in range(50)]
    assert follow(stairs, {"psnr": 1})[-1].knee_step == 13


def test_a_dip_while_warming_up_is_no_oscillation():
    dip = [[1 - 0.05 ** (i / 12) - 0.5 * (2 <= i <= 5)] for i in range(40)]
    last = follow(dip, {"psnr": 1})[-1]
    assert last.onset_step is None
    assert abs(last.knee_step - 12) <= 2


def test_a_dip_before_any_rise_is_no_onset_while_it_lasts():
    dip = [[(1 - 0.05 ** (max(0, i - 6) / 12)) - 0.5 * (2 <= i <= 6)] for i in range(40)]
    assert all(state.onset_step is None for state in follow(dip, {"psnr": 1}))


def test_a_slow_rise_that_goes_on_after_the_confirmation_is_no_gain_of_its_own():
    """Evaluation 24 has 90 % of what the curve comes to; the knee was confirmed as 22, at 32."""
    last = follow([[1 - math.exp(-i / 10)] for i in range(70)], {"psnr": 1}, patience=10)[-1]
    assert (last.knee_step, last.superseded) == (22, None)


@given(st.integers(0, 9), st.integers(1, 9), st.integers(0, 9))
def test_a_reading_that_breaks_a_promise_is_moved_behind_it(knee, until_onset, floor):
    moved = Reading(knee, knee + until_onset, earliest=0).not_before(floor)
    assert floor <= moved.knee < moved.onset
    assert moved.earliest == floor
