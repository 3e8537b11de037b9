"""Boundaries: what each partition makes equal, and what has no boundaries."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from linearsr.core.errors import ConfigError
from linearsr.core.randomness import generator
from linearsr.core.registries import TIME_GRIDS, TIME_SAMPLERS
from linearsr.experts import (
    PUBLISHED_BOUNDARIES,
    SNRRouter,
    bisect_log_snr,
    equal_log_snr,
    equal_loss,
    equal_mass,
    equal_time,
)
from linearsr.schedules import EndWeightedTimes, LogitNormalTimes, shift_time
from tests.strategies import anchors_in_ranges

SANA = LogitNormalTimes(shift=3.0)
EVERYWHERE = (torch.arange(100_000, dtype=torch.float64) + 0.5) / 100_000
"""Quantiles that stand for a whole distribution, 0.001 % each."""

counts = st.integers(1, 9)
losses = st.lists(st.tuples(st.integers(0, 1000), st.floats(0, 8)), min_size=2, max_size=12, unique_by=lambda point: point[0])


def log_snr(t):
    return 2 * math.log((1 - t) / t)


def widths(t):
    return [left - right for left, right in pairwise(map(log_snr, t))]


def shares(boundaries, times):
    """Percent of the times that each expert gets."""
    served = SNRRouter(boundaries).route(times)
    return [100 * (served == k).double().mean().item() for k in range(len(boundaries) + 1)]


def test_four_experts_on_the_solved_range_are_the_published_ones():
    explicit = bisect_log_snr(4, anchor=0.875, t_range=(0.01163, 0.97131))
    assert [round(boundary, 3) for boundary in explicit] == [0.223, 0.875, 0.939]
    assert tuple(round(boundary, 3) for boundary in bisect_log_snr(4)) == PUBLISHED_BOUNDARIES


@given(anchors_in_ranges(), st.sampled_from([4, 8, 16]))
def test_experts_on_one_side_of_the_anchor_have_equal_log_snr_widths(where, num_experts):
    anchor, (low, high) = where
    got = widths((low, *bisect_log_snr(num_experts, anchor=anchor, t_range=(low, high)), high))
    half = num_experts // 2
    assert got[:half] == pytest.approx([(log_snr(low) - log_snr(anchor)) / half] * half, abs=1e-9)
    assert got[half:] == pytest.approx([(log_snr(anchor) - log_snr(high)) / half] * half, abs=1e-9)


@given(anchors_in_ranges())
def test_two_experts_are_nested_in_four_and_four_in_eight(where):
    anchor, t_range = where
    two, four, eight = (bisect_log_snr(k, anchor=anchor, t_range=t_range) for k in (2, 4, 8))
    assert two == (anchor,)
    assert set(two) <= set(four) <= set(eight)
    assert (len(four), len(eight)) == (3, 7)


@given(anchors_in_ranges(), st.sampled_from([2, 4, 8]), st.floats(0.2, 8))
def test_partitions_by_log_snr_commute_with_the_time_shift(where, num_experts, shift):
    def moved(times):
        return shift_time(torch.tensor(times, dtype=torch.float64), shift).tolist()

    anchor, t_range = where
    bisected = bisect_log_snr(num_experts, anchor=moved([anchor])[0], t_range=moved(t_range))
    assert list(bisected) == pytest.approx(moved(bisect_log_snr(num_experts, anchor=anchor, t_range=t_range)), abs=1e-12)
    equal = equal_log_snr(num_experts, t_range=moved(t_range))
    assert list(equal) == pytest.approx(moved(equal_log_snr(num_experts, t_range=t_range)), abs=1e-12)


@given(anchors_in_ranges(), counts)
def test_any_number_of_experts_has_equal_log_snr_widths_over_the_range(where, num_experts):
    _, (low, high) = where
    got = widths((low, *equal_log_snr(num_experts, t_range=(low, high)), high))
    assert got == pytest.approx([(log_snr(low) - log_snr(high)) / num_experts] * num_experts, abs=1e-9)


@given(counts)
def test_any_number_of_experts_has_equal_widths_in_t(num_experts):
    edges = (0, *equal_time(num_experts), 1)
    assert [right - left for left, right in pairwise(edges)] == pytest.approx([1 / num_experts] * num_experts)


def test_four_equal_widths_are_those_of_the_paper():
    assert equal_time(4) == (0.25, 0.5, 0.75)


@given(counts, st.floats(0.3, 8))
def test_experts_of_equal_mass_get_equal_shares_of_the_training_times(num_experts, shift):
    sampler = LogitNormalTimes(shift=shift)
    boundaries = equal_mass(num_experts, lambda u: sampler.quantile(u, 0.0, 1.0))
    got = shares(boundaries, sampler.quantile(EVERYWHERE, 0.0, 1.0))
    assert got == pytest.approx([100 / num_experts] * num_experts, abs=0.002)  # one quantile on either side


@pytest.mark.parametrize("sampler", ["UniformTimes", "LogitNormalTimes"])
def test_drawn_times_serve_as_well_as_their_distribution(sampler):
    times = TIME_SAMPLERS.build({"type": sampler}).sample(999, generator(0))
    assert shares(equal_mass(3, times.quantile), times) == pytest.approx([100 / 3] * 3, abs=0.11)  # one draw


@given(counts, losses)
def test_experts_of_equal_loss_hold_equal_integrals_of_it(num_experts, points):
    t, loss = np.array(sorted(points)).T
    t = t / 1000
    total = np.trapezoid(loss, t)
    if total < 1e-6:  # the integrals below are differences of numbers of size 1
        return
    edges = np.array([t[0], *equal_loss(num_experts, t, loss), t[-1]])
    inner = np.union1d(t, edges)  # linear between these
    held = [np.trapezoid(np.interp(x, t, loss), x) for x in (inner[(inner >= a) & (inner <= b)] for a, b in pairwise(edges))]
    assert held == pytest.approx([total / num_experts] * num_experts, abs=1e-9)


@given(counts)
def test_a_loss_that_is_the_same_everywhere_cuts_at_equal_times(num_experts):
    assert equal_loss(num_experts, [0, 0.3, 1], [2, 2, 2]) == pytest.approx(equal_time(num_experts))


def test_a_loss_that_is_the_density_of_the_times_cuts_at_equal_mass():
    t = torch.linspace(0, 1, 20_001, dtype=torch.float64)[1:-1]
    x = t.logit() - math.log(3)
    density = (-x.square() / 2).exp() / (t * (1 - t))
    by_mass = equal_mass(4, lambda u: SANA.quantile(u, 0.0, 1.0))
    assert equal_loss(4, t, density) == pytest.approx(by_mass, abs=1e-6)  # 20,000 trapezoids err by less


def test_the_load_of_the_published_experts_in_twenty_evaluations():
    """The seventh time is 0.875 to the last bit: on the boundary, so the noisier expert's."""
    evaluations = TIME_GRIDS.build({"type": "ShiftedGrid", "shift": 3.0}).times(20)[:-1]
    assert evaluations[6] == 0.875
    assert SNRRouter().route(evaluations).bincount().tolist() == [1, 12, 3, 4]


def test_one_expert_has_no_boundary():
    by_mass, by_loss = equal_mass(1, lambda u: u), equal_loss(1, [0, 1], [1, 1])
    assert bisect_log_snr(1) == equal_log_snr(1, t_range=(0.1, 0.9)) == equal_time(1) == by_mass == by_loss == ()


@pytest.mark.parametrize("num_experts", [3, 6])
def test_a_number_of_experts_that_is_no_power_of_two_is_not_bisected(num_experts):
    with pytest.raises(ConfigError, match="power of two"):
        bisect_log_snr(num_experts)


@pytest.mark.parametrize("num_experts", [0, -4, 4.0, True, "4", None])
@pytest.mark.parametrize(
    "partition",
    [
        equal_time,
        bisect_log_snr,
        lambda k: equal_log_snr(k, t_range=(0.1, 0.9)),
        lambda k: equal_mass(k, lambda u: u),
        lambda k: equal_loss(k, [0, 1], [1, 1]),
    ],
)
def test_a_number_of_experts_that_is_none_is_refused(partition, num_experts):
    with pytest.raises(ConfigError, match=r"num_experts is .* at least 1"):
        partition(num_experts)


@pytest.mark.parametrize(
    ("anchor", "t_range"),
    [(0.5, (0.5, 0.9)), (0.95, (0.01, 0.9)), (math.nan, (0.1, 0.9)), ("0.5", (0.1, 0.9)), (None, (0.1, 0.9))],
)
def test_an_anchor_outside_the_range_is_refused(anchor, t_range):
    with pytest.raises(ConfigError, match=r"router\.anchor is .* inside router\.t_range"):
        bisect_log_snr(4, anchor=anchor, t_range=t_range)


@pytest.mark.parametrize(
    "t_range",
    [
        (0.0, 0.9),
        (0.1, 1.0),
        (0.9, 0.1),
        (0.5, 0.5),
        (math.nan, 0.9),
        (0.1, math.nan),
        (0.1,),
        (0.1, 0.5, 0.9),
        0.5,
        None,
        "ab",
    ],
)
@pytest.mark.parametrize("partition", [bisect_log_snr, equal_log_snr])
def test_a_range_that_ends_at_0_or_1_or_is_none_is_refused(partition, t_range):
    with pytest.raises(ConfigError, match=r"router\.t_range is"):
        partition(4, t_range=t_range)


@pytest.mark.parametrize("partition", [bisect_log_snr, equal_log_snr])
def test_a_range_too_narrow_for_its_experts_is_refused(partition):
    narrow = {"anchor": 0.5 + 2**-53} if partition is bisect_log_snr else {}
    with pytest.raises(ConfigError, match="too narrow"):
        partition(16, t_range=(0.5, 0.5 + 2**-52), **narrow)


@pytest.mark.parametrize(
    "quantile",
    [lambda u: EndWeightedTimes(0.5).quantile(u, 0.0, 1.0), lambda u: u * math.nan, lambda u: u * 0 + 0.5, lambda u: u - 1],
)
def test_times_that_pile_up_cannot_be_shared_out(quantile):
    with pytest.raises(ConfigError, match="the times pile up"):
        equal_mass(4, quantile)


@pytest.mark.parametrize("t", [[0.5], [0.5, 0.5], [0.6, 0.5], [-0.1, 0.5], [0.5, 1.1], [0.1, math.nan], [[0.1, 0.5]], []])
def test_a_loss_measured_at_no_ascending_times_is_refused(t):
    with pytest.raises(ConfigError, match="the loss was measured at"):
        equal_loss(2, t, [1.0] * len(t))


@pytest.mark.parametrize("loss", [[1, 1, 1], [1], [0, 0], [1, -1], [1, math.nan], [1, math.inf], [1e308, 1e308, 1e308]])
def test_a_loss_that_is_negative_or_nothing_or_not_finite_is_refused(loss):
    with pytest.raises(ConfigError, match="the measured loss is"):
        equal_loss(2, [0.1, 0.9], loss)
