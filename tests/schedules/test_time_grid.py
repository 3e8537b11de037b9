"""Sampling times: values, and the steps they leave to each expert."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from linearsr.core.errors import ConfigError
from linearsr.schedules import ShiftedGrid, UniformGrid


def test_four_steps_of_each_grid():
    assert UniformGrid().times(4).tolist() == [1, 0.75, 0.5, 0.25, 0]
    torch.testing.assert_close(ShiftedGrid(3.0).times(4), torch.tensor([1, 0.9, 0.75, 0.5, 0], dtype=torch.float64))


@given(st.integers(1, 200), st.floats(0.1, 30))
def test_a_grid_descends_strictly_from_one_to_zero_for_any_shift(num_steps, shift):
    times = ShiftedGrid(shift).times(num_steps)
    assert times.shape == (num_steps + 1,)
    assert (times[0], times[-1]) == (1, 0)
    assert bool((times.diff() < 0).all())


def test_shift_one_is_the_uniform_grid():
    assert torch.equal(ShiftedGrid(1.0).times(7), UniformGrid().times(7))


@pytest.mark.parametrize("num_steps", [0, -1, 2.0, True, None])
def test_an_impossible_number_of_steps_is_refused(num_steps):
    with pytest.raises(ConfigError, match=r"num_steps is .* at least 1"):
        UniformGrid().times(num_steps)


def test_an_impossible_shift_is_refused_with_its_key():
    with pytest.raises(ConfigError, match=r"time_grid\.shift"):
        ShiftedGrid(0)
