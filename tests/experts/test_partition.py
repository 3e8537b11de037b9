"""Boundaries by bisection in log-SNR."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linearsr.core.errors import ConfigError
from linearsr.experts import PUBLISHED_BOUNDARIES, bisect_log_snr


def log_snr(t):
    return 2 * math.log((1 - t) / t)


@st.composite
def ranges(draw):
    """(anchor, (low, high)) with at least 0.02 between them."""
    low, anchor, high = sorted(draw(st.lists(st.integers(1, 49), min_size=3, max_size=3, unique=True)))
    return anchor / 50, (low / 50, high / 50)


def test_four_experts_on_the_solved_range_are_the_published_ones():
    assert tuple(round(boundary, 3) for boundary in bisect_log_snr(4)) == PUBLISHED_BOUNDARIES


@given(ranges(), st.sampled_from([4, 8, 16]))
def test_experts_on_one_side_of_the_anchor_have_equal_log_snr_widths(where, num_experts):
    anchor, (low, high) = where
    edges = [log_snr(t) for t in (low, *bisect_log_snr(num_experts, anchor=anchor, t_range=(low, high)), high)]
    widths = [left - right for left, right in pairwise(edges)]
    half = num_experts // 2
    assert widths[:half] == pytest.approx([(log_snr(low) - log_snr(anchor)) / half] * half, abs=1e-9)
    assert widths[half:] == pytest.approx([(log_snr(anchor) - log_snr(high)) / half] * half, abs=1e-9)


@given(ranges())
def test_two_experts_are_nested_in_four_and_four_in_eight(where):
    anchor, t_range = where
    two, four, eight = (bisect_log_snr(k, anchor=anchor, t_range=t_range) for k in (2, 4, 8))
    assert two == (anchor,)
    assert set(two) <= set(four) <= set(eight)
    assert (len(four), len(eight)) == (3, 7)


@given(ranges(), st.floats(0.2, 8))
def test_bisection_commutes_with_the_time_shift(where, shift):
    anchor, (low, high) = where

    def moved(t):
        return shift * t / (shift * t + 1 - t)

    shifted_after = [moved(t) for t in bisect_log_snr(4, anchor=anchor, t_range=(low, high))]
    shifted_before = bisect_log_snr(4, anchor=moved(anchor), t_range=(moved(low), moved(high)))
    assert list(shifted_before) == pytest.approx(shifted_after, abs=1e-12)


def test_one_expert_has_no_boundary():
    assert bisect_log_snr(1) == ()


@pytest.mark.parametrize("num_experts", [0, 3, 6, -4, 4.0, True])
def test_a_number_of_experts_that_is_no_power_of_two_is_refused(num_experts):
    with pytest.raises(ConfigError, match="power of two"):
        bisect_log_snr(num_experts)


@pytest.mark.parametrize(("anchor", "t_range"), [(0.5, (0.5, 0.9)), (0.95, (0.01, 0.9)), (0.5, (0.0, 0.9)), (0.5, (0.1, 1.0))])
def test_an_anchor_outside_the_range_is_refused(anchor, t_range):
    with pytest.raises(ConfigError, match="the anchor is"):
        bisect_log_snr(4, anchor=anchor, t_range=t_range)
