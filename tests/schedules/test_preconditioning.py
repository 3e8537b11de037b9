"""The preconditioner does what its derivation says."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from linearsr.core.errors import ShapeError
from linearsr.schedules import Euler, RectifiedFlow, UniformGrid, VelocityPreconditioner
from tests.strategies import normal

SCALES = VelocityPreconditioner().scales
T = torch.linspace(0, 1, 201, dtype=torch.float64)


def coefficients(t):
    """Of z0 and z1 in the ideal target F = (v − c_skip·z_t)/c_out, from the scales alone."""
    _, c_skip, c_out = SCALES(t)
    return (-1 - c_skip * (1 - t)) / c_out, (1 - c_skip * t) / c_out


def test_the_ideal_target_has_unit_variance_at_every_time():
    of_z0, of_z1 = coefficients(T)
    torch.testing.assert_close(of_z0**2 + of_z1**2, torch.ones_like(T), rtol=0, atol=1e-14)


def test_the_ideal_target_is_uncorrelated_with_what_the_skip_already_says():
    of_z0, of_z1 = coefficients(T)
    torch.testing.assert_close(of_z0 * (1 - T) + of_z1 * T, torch.zeros_like(T), rtol=0, atol=1e-14)


def test_the_ideal_target_is_the_stated_one_and_at_the_noise_end_the_picture():
    of_z0, of_z1 = coefficients(T)
    root = ((1 - T) ** 2 + T**2).sqrt()
    torch.testing.assert_close(of_z0, T / root, rtol=0, atol=1e-14)
    torch.testing.assert_close(of_z1, -(1 - T) / root, rtol=0, atol=1e-14)
    assert (of_z0[-1], of_z1[-1]) == (1, 0)


def test_measured_on_samples_no_other_skip_leaves_less_to_predict():
    z0, z1, path = normal(0, 1, 1, 1, 200_000), normal(1, 1, 1, 1, 200_000), RectifiedFlow()
    for time in (0.1, 0.5, 0.9):
        t = torch.tensor([time], dtype=torch.float64)
        z_t, v = path.interpolate(z0, z1, t), path.target(z0, z1)
        c_in, c_skip, c_out = SCALES(t)
        # five standard errors of a variance from 200 000 draws are 0.016
        assert ((v - c_skip * z_t) / c_out).var().item() == pytest.approx(1, abs=0.016)
        assert (v - (c_skip + 0.1) * z_t).var() > (v - c_skip * z_t).var() < (v - (c_skip - 0.1) * z_t).var()
        assert (z0 - (c_in + 0.1) * z_t).var() > (z0 - c_in * z_t).var() < (z0 - (c_in - 0.1) * z_t).var()


@given(st.integers(0, 2**31 - 1))
def test_one_step_from_noise_is_the_network_output_whatever_the_noise(seed):
    def network(seen, t):
        return torch.tanh(seen) + 0.3

    def velocity(z, t):
        c_in, c_skip, c_out = (scale.reshape(-1, 1, 1, 1) for scale in SCALES(t))
        return c_skip * z + c_out * network(c_in * z, t)

    z = Euler().solve(velocity, normal(seed, 1, 3, 4, 4), UniformGrid().times(1))
    torch.testing.assert_close(z, torch.full_like(z, 0.3), rtol=0, atol=2e-15)  # z1 − (z1 − F) rounds at the size of z1


def test_scales_at_both_ends_are_exact():
    assert [scale.tolist() for scale in SCALES(torch.tensor([0.0, 1.0]))] == [[1, 0], [-1, 1], [-1, -1]]


def test_sixteen_bit_times_are_refused():
    with pytest.raises(ShapeError, match="float32 or float64"):
        SCALES(T.half())
