"""Draws follow the stated distributions, whole and restricted. Kolmogorov–Smirnov p-values below 1e-6 fail: with fresh
seeds that is one false alarm in a million tests."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from linearsr.core.errors import ConfigError
from linearsr.core.randomness import generator
from linearsr.schedules import EndWeightedTimes, LogitNormalTimes, UniformTimes, shift_time

ALARM = 1e-6


def logit_normal_cdf(t, mean, std, shift):
    return stats.norm.cdf((torch.logit(torch.as_tensor(t)).numpy() - mean - math.log(shift)) / std)


@given(st.floats(-1, 1), st.floats(0.3, 2), st.floats(0.3, 6), st.floats(0.02, 0.9), st.floats(0.02, 0.9))
def test_logit_normal_restricted_to_an_interval_is_the_conditional_distribution(mean, std, shift, a, width):
    low, high = a, min(1.0, a + width)
    t = LogitNormalTimes(mean, std, shift).sample(2000, generator(7), interval=(low, high))
    below, upto = logit_normal_cdf([low, high], mean, std, shift)
    if upto - below < 1e-9:
        return  # scipy's own CDF has no digits left here; the far tail has a test below
    result = stats.kstest(t.numpy(), lambda x: (logit_normal_cdf(x, mean, std, shift) - below) / (upto - below))
    assert result.pvalue > ALARM


@given(st.floats(0, 0.98), st.floats(0.01, 1))
def test_uniform_restricted_to_an_interval_is_uniform_there(low, width):
    high = min(1.0, low + width)
    t = UniformTimes().sample(2000, generator(3), interval=(low, high))
    assert stats.kstest(t.numpy(), stats.uniform(low, high - low).cdf).pvalue > ALARM


@given(st.floats(0.05, 0.95), st.floats(0, 0.95))
def test_the_end_has_its_conditional_share_and_the_rest_is_uniform(p_end, low):
    n = 4000
    t = EndWeightedTimes(p_end).sample(n, generator(5), interval=(low, 1.0))
    at_end = int((t == 1).sum())
    share = p_end / (p_end + (1 - p_end) * (1 - low))
    assert stats.binomtest(at_end, n, share).pvalue > ALARM
    rest = t[t < 1]
    if len(rest) > 10:
        assert stats.kstest(rest.numpy(), stats.uniform(low, 1 - low).cdf).pvalue > ALARM


def test_logit_normal_with_shift_three_gives_the_published_load_of_four_experts():
    t = LogitNormalTimes(shift=3.0).sample(200_000, generator(0))
    load = torch.histogram(t, torch.tensor([0, 0.223, 0.875, 0.939, 1], dtype=torch.float64)).hist / len(t)
    # LinearSR's boundaries, computed from the normal CDF; four standard errors of a share of 0.79 are 0.0037
    torch.testing.assert_close(load, torch.tensor([0.0095, 0.792, 0.147, 0.051], dtype=torch.float64), rtol=0, atol=0.004)


def test_sampling_then_shifting_equals_sampling_shifted_times():
    plain = LogitNormalTimes(shift=1.0).sample(50, generator(1))
    torch.testing.assert_close(LogitNormalTimes(shift=3.0).sample(50, generator(1)), shift_time(plain, 3.0), rtol=1e-12, atol=0)


@pytest.mark.parametrize("interval", [(1 - 1e-9, 1.0), (0.0, 1e-9), (1 - 2e-9, 1 - 1e-9)])
def test_the_far_tails_of_the_logit_normal_are_still_drawn(interval):
    t = LogitNormalTimes().sample(200, generator(0), interval=interval)
    assert bool(((t >= interval[0]) & (t <= interval[1])).all())
    assert len(t.unique()) > 100


@pytest.mark.parametrize("sampler", [UniformTimes(), LogitNormalTimes(), EndWeightedTimes()])
@given(st.floats(0, 1, exclude_max=True), st.floats(0, 1))
def test_draws_lie_where_a_router_would_send_them(sampler, low, high):
    low, high = sorted((low, high))
    if high - low < 1e-6:
        return
    t = sampler.sample(64, generator(0), interval=(low, high))
    assert bool((t > 0).all())
    assert bool((t >= low).all())
    assert bool((t < high).all() if high < 1 else (t <= 1).all())


def test_rounding_never_gives_the_upper_boundary_itself():
    low = 0.25
    high = math.nextafter(low, 1)  # no other double lies between
    assert UniformTimes().sample(100, generator(0), interval=(low, high)).unique().tolist() == [low]


def test_end_weight_one_is_always_the_end_and_zero_never():
    assert bool((EndWeightedTimes(1.0).sample(100, generator(0)) == 1).all())
    assert bool((EndWeightedTimes(0.0).sample(100, generator(0)) < 1).all())
    with pytest.raises(ConfigError, match="no probability"):
        EndWeightedTimes(1.0).sample(3, generator(0), interval=(0.2, 0.5))


@pytest.mark.parametrize("interval", [(0.5, 0.5), (0.6, 0.5), (-0.1, 0.5), (0.5, 1.1), (math.nan, 1.0)])
def test_an_impossible_interval_is_refused(interval):
    with pytest.raises(ConfigError, match="0 ≤ low < high ≤ 1"):
        UniformTimes().sample(1, interval=interval)


@pytest.mark.parametrize(
    ("make", "key"),
    [
        (lambda: LogitNormalTimes(std=0), "time_sampler.std"),
        (lambda: LogitNormalTimes(shift=-3), "time_sampler.shift"),
        (lambda: LogitNormalTimes(mean=math.nan), "time_sampler.mean"),
        (lambda: EndWeightedTimes(1.5), "time_sampler.p_end"),
        (lambda: UniformTimes().sample(-1), "n"),
    ],
)
def test_an_impossible_option_is_refused_with_its_key(make, key):
    with pytest.raises(ConfigError, match=f"^{key} is "):
        make()
