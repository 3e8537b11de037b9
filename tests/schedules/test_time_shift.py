"""The shift is a group that acts on 0..1, and a translation of the log-SNR."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from linearsr.core.errors import ConfigError, ShapeError
from linearsr.schedules import RectifiedFlow, shift_time

shifts = st.floats(0.05, 20)
T = torch.linspace(0, 1, 33, dtype=torch.float64)
ROUNDING = 1e-14  # times of size 1, about twenty roundings


@given(shifts, shifts)
def test_shift_after_shift_is_the_shift_by_the_product(first, second):
    torch.testing.assert_close(shift_time(shift_time(T, first), second), shift_time(T, first * second), rtol=0, atol=ROUNDING)


@given(shifts)
def test_the_shift_by_the_reciprocal_undoes_a_shift(shift):
    # a shift by 20 squeezes the last step to 1/600; the inverse stretches the rounding again
    torch.testing.assert_close(shift_time(shift_time(T, shift), 1 / shift), T, rtol=0, atol=20 * ROUNDING)


@given(shifts)
def test_log_snr_moves_by_minus_two_log_shift(shift):
    inner, path = T[1:-1], RectifiedFlow()
    moved = path.log_snr(shift_time(inner, shift))
    torch.testing.assert_close(moved, path.log_snr(inner) - 2 * math.log(shift), rtol=0, atol=1e-12)


@given(st.floats(1e-12, 1e12))
def test_both_ends_stay_exactly_and_order_is_kept(shift):
    shifted = shift_time(T, shift)
    assert (shifted[0], shifted[-1]) == (0, 1)
    assert bool((shifted.diff() >= 0).all())


def test_shift_one_changes_nothing_and_three_is_sanas():
    assert torch.equal(shift_time(T, 1), T)
    assert shift_time(torch.tensor([0.25, 0.5, 0.75]), 3.0).tolist() == [0.5, 0.75, pytest.approx(0.9)]


@pytest.mark.parametrize("shift", [0, -1, math.inf, math.nan, "3", True])
def test_an_impossible_shift_is_refused(shift):
    with pytest.raises(ConfigError, match=r"shift is .* wanted a finite number above 0"):
        shift_time(T, shift)


def test_sixteen_bit_times_are_refused():
    with pytest.raises(ShapeError, match="float32 or float64"):
        shift_time(T.bfloat16(), 3.0)
