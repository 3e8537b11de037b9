"""Every time has exactly one expert, and noise decides which."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from linearsr.core.errors import ConfigError
from linearsr.core.randomness import generator
from linearsr.core.registries import ROUTERS, TIME_GRIDS, TIME_SAMPLERS
from linearsr.experts import PUBLISHED_BOUNDARIES, BisectionRouter, LogSNRRouter, SNRRouter, UniformRouter
from tests.strategies import boundary_lists, time_lists


@given(boundary_lists, time_lists, st.sampled_from([torch.float32, torch.float64]))
def test_every_time_has_exactly_the_one_expert_whose_interval_holds_it(boundaries, ts, dtype):
    t = torch.tensor([*ts, 0.0, 1.0, *boundaries], dtype=dtype)
    ends = [-math.inf, *torch.tensor(boundaries, dtype=dtype).tolist(), math.inf]
    inside = torch.stack([(t >= low) & (t < high) for low, high in pairwise(ends)], dim=1)
    assert bool((inside.sum(1) == 1).all())
    assert torch.equal(SNRRouter(boundaries).route(t), inside.int().argmax(1))


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


def test_a_number_of_experts_alone_gives_boundaries():
    assert SNRRouter().boundaries == PUBLISHED_BOUNDARIES
    assert [round(boundary, 3) for boundary in BisectionRouter().boundaries] == [0.223, 0.875, 0.939]
    assert BisectionRouter(2, anchor=0.6, t_range=[0.1, 0.9]).boundaries == (0.6,)
    assert LogSNRRouter(2, t_range=[0.1, 0.9]).boundaries == pytest.approx([0.5])
    assert UniformRouter().boundaries == (0.25, 0.5, 0.75)
    assert UniformRouter(1).boundaries == ()


@pytest.mark.parametrize(
    "boundaries",
    [(0.5, 0.5), (0.6, 0.5), (0.0, 0.5), (0.5, 1.0), (math.nan,), (-0.1,), (math.inf,), ("0.5",), (None,), 0.5, None, "0.5"],
)
@pytest.mark.parametrize("router", ["SNRRouter", "LearnedRouter"])
def test_boundaries_that_do_not_ascend_inside_0_1_are_refused(router, boundaries):
    with pytest.raises(ConfigError, match=r"^router\.boundaries are .*; wanted a list"):
        ROUTERS.build({"type": router, "boundaries": boundaries})
