"""Every time has exactly one expert, and noise decides which."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from linearsr.core.errors import ConfigError, ShapeError
from linearsr.core.randomness import generator
from linearsr.core.registries import TIME_GRIDS, TIME_SAMPLERS
from linearsr.experts import SNRRouter
from linearsr.experts.conformance import check_router
from linearsr.schedules import shift_time

boundary_lists = st.lists(st.floats(0.01, 0.99), min_size=0, max_size=8, unique=True).map(sorted)
times = st.lists(st.floats(0, 1), min_size=1, max_size=40)


@given(boundary_lists, times, st.sampled_from([torch.float32, torch.float64]))
def test_every_time_has_exactly_the_one_expert_whose_interval_holds_it(boundaries, ts, dtype):
    t = torch.tensor([*ts, 0.0, 1.0, *boundaries], dtype=dtype)
    ends = [-math.inf, *torch.tensor(boundaries, dtype=dtype).tolist(), math.inf]
    assume(len(set(ends)) == len(ends))  # two boundaries may be one number in float32
    inside = torch.stack([(t >= low) & (t < high) for low, high in pairwise(ends)], dim=1)
    assert bool((inside.sum(1) == 1).all())
    assert torch.equal(SNRRouter(boundaries).route(t), inside.int().argmax(1))


@given(boundary_lists, times)
def test_noisier_times_never_get_a_lower_expert(boundaries, ts):
    served = SNRRouter(boundaries).route(torch.tensor(sorted(ts), dtype=torch.float64))
    assert bool((served.diff() >= 0).all())


@given(st.floats(0.2, 8), times)
def test_shifting_times_and_boundaries_together_changes_no_expert(shift, ts):
    t = torch.tensor(ts, dtype=torch.float64)
    plain = SNRRouter()
    boundaries = torch.tensor(plain.boundaries, dtype=torch.float64)
    away = ((t[:, None] - boundaries).abs() > 1e-9).all(1)
    moved = SNRRouter(shift_time(boundaries, shift).tolist())
    assert torch.equal(moved.route(shift_time(t, shift))[away], plain.route(t)[away])


@given(st.integers(1, 60), st.floats(0.2, 8), boundary_lists)
def test_a_sampling_run_switches_experts_at_most_k_minus_1_times(num_steps, shift, boundaries):
    grid = TIME_GRIDS.build({"type": "ShiftedGrid", "shift": shift}).times(num_steps)
    served = SNRRouter(boundaries).route(grid)
    assert int((served.diff() != 0).sum()) <= len(boundaries)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_boundary_belongs_to_the_noisier_expert_in_either_type(dtype):
    t = torch.tensor([0, 0.223, 0.875, 0.939, 1], dtype=dtype)
    assert SNRRouter().route(t).tolist() == [0, 1, 2, 3, 3]
    below = torch.nextafter(t[1:4], torch.zeros((), dtype=dtype))
    assert SNRRouter().route(below).tolist() == [0, 1, 2]


@pytest.mark.parametrize("sampler", ["UniformTimes", "LogitNormalTimes", "EndWeightedTimes"])
def test_times_drawn_for_an_expert_are_routed_to_it(sampler):
    router, draw = SNRRouter(), generator(0)
    for expert in range(router.num_experts):
        t = TIME_SAMPLERS.build({"type": sampler}).sample(500, draw, interval=router.interval(expert))
        assert router.route(t).unique().tolist() == [expert]


def test_intervals_cover_the_times_without_gap():
    router = SNRRouter()
    assert [router.interval(k) for k in range(4)] == [(0, 0.223), (0.223, 0.875), (0.875, 0.939), (0.939, 1)]
    with pytest.raises(ConfigError, match="no expert 4"):
        router.interval(4)


@pytest.mark.parametrize("boundaries", [(0.5, 0.5), (0.6, 0.5), (0.0, 0.5), (0.5, 1.0), (math.nan,), (-0.1,)])
def test_boundaries_that_do_not_ascend_inside_0_1_are_refused(boundaries):
    with pytest.raises(ConfigError, match=r"router\.boundaries"):
        SNRRouter(boundaries)


@pytest.mark.parametrize("t", [math.nan, -1e-9, 1 + 1e-9, math.inf, -math.inf])
def test_a_time_that_is_none_is_refused(t):
    with pytest.raises(ShapeError, match=r"times in 0\.\.1"):
        SNRRouter().route(torch.tensor([0.5, t], dtype=torch.float64))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.int64])
def test_coarse_times_are_refused(dtype):
    with pytest.raises(ShapeError, match="float32 or float64"):
        SNRRouter().route(torch.ones(1, dtype=dtype))


class LowerExpertOnBoundaries(SNRRouter):
    def route(self, t, features=None):
        super().route(t)
        return torch.bucketize(t, torch.tensor(self.boundaries, dtype=t.dtype))


class TakesAnything(SNRRouter):
    def route(self, t, features=None):
        return torch.bucketize(t.double(), torch.tensor(self.boundaries, dtype=torch.float64), right=True)


class RanksTheBatch(SNRRouter):
    def route(self, t, features=None):
        super().route(t)
        return t.argsort().argsort() * self.num_experts // len(t)


class UpsideDown(SNRRouter):
    def route(self, t, features=None):
        return self.num_experts - 1 - super().route(t)


@pytest.mark.parametrize(
    ("broken", "law"),
    [
        (LowerExpertOnBoundaries(), "noisier expert"),
        (TakesAnything(), "NaN"),
        (TakesAnything(), "below 0"),
        (TakesAnything(), "16-bit"),
        (RanksTheBatch(), "nothing else in the batch"),
        (UpsideDown(), "never go to a lower"),
    ],
)
def test_the_check_names_the_law_that_a_broken_router_breaks(broken, law):
    assert any(law in finding.law for finding in check_router(broken).failed), str(check_router(broken))
