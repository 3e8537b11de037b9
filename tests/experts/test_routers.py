"""The laws of routing, for every registered router as far as it declares them, with options drawn at random."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from linearsr.core.errors import ShapeError
from linearsr.core.registries import ROUTERS
from linearsr.experts import BisectionRouter, FunctionRouter, LearnedRouter, LogSNRRouter, SNRRouter, UniformRouter
from linearsr.experts.routing import TimeRouter, count_experts
from linearsr.schedules import shift_time
from tests.strategies import anchors_in_ranges, boundary_lists, normal, time_lists

NEAR = 1e-9
"""Times this close to a boundary may change sides when both are shifted: many roundings of float64."""


def by_function(boundaries):
    cuts = torch.tensor(boundaries, dtype=torch.float64)
    return FunctionRouter(lambda t: torch.bucketize(t, cuts, right=True), len(boundaries) + 1)


BY_TIME = {
    "SNRRouter": boundary_lists.map(SNRRouter),
    "BisectionRouter": st.builds(
        lambda k, where: BisectionRouter(k, anchor=where[0], t_range=where[1]),
        st.sampled_from([1, 2, 4, 8]),
        anchors_in_ranges(),
    ),
    "LogSNRRouter": st.builds(lambda k, where: LogSNRRouter(k, t_range=where[1]), st.integers(1, 9), anchors_in_ranges()),
    "UniformRouter": st.builds(UniformRouter, st.integers(1, 9)),
    "FunctionRouter": boundary_lists.map(by_function),
}
ALL = BY_TIME | {"LearnedRouter": boundary_lists.map(lambda boundaries: LearnedRouter(boundaries, hidden=4))}

PLAIN = {
    "SNRRouter": SNRRouter(),
    "BisectionRouter": BisectionRouter(),
    "LogSNRRouter": LogSNRRouter(3, t_range=(0.1, 0.9)),
    "UniformRouter": UniformRouter(),
    "FunctionRouter": by_function([0.5]),
    "LearnedRouter": LearnedRouter(),
}

every_router = pytest.mark.parametrize("name", ALL)
every_router_by_time = pytest.mark.parametrize("name", BY_TIME)
many = settings(max_examples=50)


def route(router, t, seed=0):
    return router.route(t, None if router.depends_on_time_only else router.features(normal(seed, len(t), 3, 4, 4)))


def with_ends_and_boundaries(router, ts):
    return torch.tensor([0.0, *router.boundaries, 1.0, *ts], dtype=torch.float64)


def test_every_registered_router_is_drawn_here():
    assert set(ALL) == set(ROUTERS.own())
    assert all(ROUTERS.require(name).depends_on_time_only == (name in BY_TIME) for name in ALL)


@every_router
@many
@given(st.data(), time_lists, st.sampled_from([torch.float32, torch.float64]))
def test_every_time_has_exactly_one_expert(name, data, ts, dtype):
    router = data.draw(ALL[name])
    t = with_ends_and_boundaries(router, ts).to(dtype)
    served = route(router, t)
    assert (served.dtype, served.shape) == (torch.int64, t.shape)
    assert bool(((served >= 0) & (served < count_experts(router))).all())
    assert torch.equal(served, route(router, t))


@every_router
@many
@given(st.data())
def test_boundaries_strictly_increase_inside_0_1_and_the_ends_get_the_outermost_experts(name, data):
    router = data.draw(ALL[name])
    edges = torch.tensor([0.0, *router.boundaries, 1.0], dtype=torch.float64)
    assert bool((edges.diff() > 0).all())
    assert router.num_experts == len(router.boundaries) + 1
    assert route(router, edges[[0, -1]]).tolist() == [0, router.num_experts - 1]


@every_router_by_time
@many
@given(st.data(), time_lists)
def test_noisier_times_never_get_a_lower_expert(name, data, ts):
    router = data.draw(BY_TIME[name])
    served = router.route(with_ends_and_boundaries(router, ts).sort().values)
    assert bool((served.diff() >= 0).all())
    assert int((served.flip(0).diff() != 0).sum()) == router.num_experts - 1  # descending, and each boundary is crossed


@every_router_by_time
@many
@given(st.data())
def test_a_boundary_goes_to_the_noisier_expert_and_what_is_just_below_to_the_other(name, data):
    router = data.draw(BY_TIME[name])
    at = torch.tensor(router.boundaries, dtype=torch.float64)
    experts = torch.arange(len(at))
    assert torch.equal(router.route(at), experts + 1)
    assert torch.equal(router.route(at.nextafter(at.new_zeros(()))), experts)


@every_router_by_time
@many
@given(st.data(), time_lists, st.floats(0.2, 8))
def test_shifting_times_and_boundaries_together_changes_no_expert(name, data, ts, shift):
    router = data.draw(BY_TIME[name])
    t = torch.tensor(ts, dtype=torch.float64)
    boundaries = torch.tensor(router.boundaries, dtype=torch.float64)
    away = ((t[:, None] - boundaries).abs() > NEAR).all(dim=1)
    moved = SNRRouter(shift_time(boundaries, shift).tolist())
    assert torch.equal(moved.route(shift_time(t, shift))[away], router.route(t)[away])


@given(anchors_in_ranges(), time_lists)
def test_two_experts_nest_in_four_and_four_in_eight(where, ts):
    anchor, t_range = where
    t = torch.tensor(ts, dtype=torch.float64)
    for make in (
        lambda k: BisectionRouter(k, anchor=anchor, t_range=t_range),
        lambda k: LogSNRRouter(k, t_range=t_range),
        UniformRouter,
    ):
        two, four, eight = (make(k).route(t) for k in (2, 4, 8))
        assert torch.equal(eight // 2, four)
        assert torch.equal(four // 2, two)


@every_router
@pytest.mark.parametrize("t", [math.nan, -1e-9, 1 + 1e-9, math.inf, -math.inf])
def test_a_time_that_is_none_is_refused(name, t):
    with pytest.raises(ShapeError, match=r"times in 0\.\.1"):
        route(PLAIN[name], torch.tensor([0.5, t], dtype=torch.float64))


@every_router
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.int64])
def test_coarse_times_are_refused(name, dtype):
    with pytest.raises(ShapeError, match="float32 or float64"):
        route(PLAIN[name], torch.ones(1, dtype=dtype))


@every_router
def test_times_are_one_per_picture(name):
    with pytest.raises(ShapeError, match="one time per picture"):
        route(PLAIN[name], torch.ones(2, 1))


def test_experts_are_counted_by_what_a_router_says_or_by_its_boundaries():
    class Bare:
        boundaries, depends_on_time_only = (0.2, 0.4), True

    class Saying(Bare):
        boundaries, num_experts = (), 5

    assert (count_experts(Bare()), count_experts(Saying()), count_experts(TimeRouter([]))) == (3, 5, 1)
