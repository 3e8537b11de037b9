"""The straight path: its ends, its inverse and what it refuses."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from linearsr.core.errors import ShapeError
from linearsr.schedules import RectifiedFlow
from tests.strategies import normal, seeds

PATH = RectifiedFlow()


@given(seeds, st.floats(0, 1))
def test_both_ends_come_back_from_a_point_on_the_line_and_its_velocity(seed, time):
    z0, z1 = normal(seed, 2, 3, 4, 5), normal(seed + 1, 2, 3, 4, 5)
    t = torch.tensor([time, 1 - time], dtype=torch.float64)
    z_t, v = PATH.interpolate(z0, z1, t), PATH.target(z0, z1)
    # a few roundings of numbers of size 4
    each = t[:, None, None, None]
    torch.testing.assert_close(z_t - each * v, z0, rtol=0, atol=1e-14)
    torch.testing.assert_close(z_t + (1 - each) * v, z1, rtol=0, atol=1e-14)


@given(st.floats(-60, 60))
def test_log_snr_undoes_its_inverse(log_snr):
    given_log_snr = torch.tensor([log_snr], dtype=torch.float64)
    # towards noise t nears 1, where doubles are 1.1e-16 apart: two such roundings, and λ changes by 2/(1 − t) of them
    allowed = 1e-12 + 2 * 1.2e-16 * 2 * torch.exp(-given_log_snr / 2).item()
    got = PATH.log_snr(PATH.t_from_log_snr(given_log_snr))
    torch.testing.assert_close(got, given_log_snr, rtol=1e-14, atol=allowed)


def test_log_snr_at_the_ends_and_the_middle():
    t = torch.tensor([0, 0.5, 1], dtype=torch.float64)
    assert PATH.log_snr(t).tolist() == [torch.inf, 0, -torch.inf]
    assert PATH.t_from_log_snr(PATH.log_snr(t)).tolist() == [0, 0.5, 1]


def test_the_loss_gradient_reaches_both_ends_with_the_weights_of_the_line():
    z0, z1 = (normal(i, 2, 1, 2, 2).requires_grad_() for i in range(2))
    t = torch.tensor([0.25, 0.875], dtype=torch.float64)
    PATH.interpolate(z0, z1, t).sum().backward()
    assert z0.grad.amax((1, 2, 3)).tolist() == [0.75, 0.125]
    assert z1.grad.amin((1, 2, 3)).tolist() == [0.25, 0.875]


def test_a_bfloat16_latent_is_mixed_with_the_exact_time():
    one = torch.ones(1, 1, 1, 1, dtype=torch.bfloat16)
    t = torch.tensor([0.8761], dtype=torch.float32)
    got = PATH.interpolate(-one, one, t)
    assert got.dtype == torch.bfloat16
    assert got.item() == 0.75390625  # the nearest to 2 t − 1 = 0.7522; t rounded to bfloat16 first is 0.875 and gives 0.75


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.int64])
def test_coarse_times_are_refused_by_name(dtype):
    with pytest.raises(ShapeError, match="wanted float32 or float64"):
        PATH.log_snr(torch.ones(2, dtype=dtype))


@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 1)])
def test_a_time_count_other_than_the_batch_is_refused(shape):
    z = normal(0, 2, 1, 2, 2)
    with pytest.raises(ShapeError, match="one time per picture"):
        PATH.interpolate(z, z, torch.full(shape, 0.5))
