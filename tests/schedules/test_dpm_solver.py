"""DPM-Solver++ beside diffusers', and what becomes of its history where experts change."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from linearsr.core.errors import ConfigError
from linearsr.schedules import DPMSolver, Euler, ShiftedGrid, UniformGrid
from tests.schedules.test_solvers import swirl, swirl_solution
from tests.strategies import normal, seeds


def field(z, t):
    """Smooth, nonlinear, and not one that any solver follows exactly."""
    return torch.sin(z) * (1 + t.reshape(-1, 1, 1, 1)) + 0.3 * z


@pytest.mark.parametrize("num_steps", [1, 2, 5, 10, 20])
@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("shift", [1.0, 3.0])
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # diffusers 0.42 with numpy 2
def test_it_goes_where_diffusers_scheduler_goes(num_steps, order, shift):
    diffusers = pytest.importorskip("diffusers")
    scheduler = diffusers.DPMSolverMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift, solver_order=order
    )
    scheduler.set_timesteps(num_steps)
    z = z1 = normal(3, 2, 3, 4, 4).float()
    for sigma, step in zip(scheduler.sigmas, scheduler.timesteps, strict=False):
        z = scheduler.step(field(z, torch.full((2,), float(sigma))), step, z, return_dict=False)[0]
    times = scheduler.sigmas.double()
    got = DPMSolver(order).solve(field, z1.double(), times)
    assert (got - z).abs().max() < 1e-5  # float32 there: a few hundred roundings of numbers of size 3


@given(seeds, st.floats(0.3, 5), st.integers(2, 12))
def test_a_step_of_the_first_order_is_exact_where_the_estimated_picture_does_not_change(seed, shift, num_steps):
    z0, z1 = normal(seed, 2, 1, 3, 3), normal(seed + 1, 2, 1, 3, 3)
    for order in (1, 2):
        got = DPMSolver(order).solve(lambda z, t: (z - z0) / t.reshape(-1, 1, 1, 1), z1, ShiftedGrid(shift).times(num_steps))
        torch.testing.assert_close(got, z0, rtol=0, atol=1e-12)  # a dozen steps of numbers of size 4


@pytest.mark.parametrize(("start", "end", "order"), [(0.9, 0.1, 2), (1, 0, 1.7)], ids=["inside", "whole"])
def test_the_fitted_order_is_two_inside_and_less_by_a_logarithm_over_the_whole(start, end, order):
    """λ is infinite at the ends, towards which equal steps of t grow in λ: errors add up to h² ln(1/h), whose slope nears 2
    slowly. Measured: 1.69 here, 1.84 between 4096 and 8192 steps."""
    z = normal(0, 3, 2, 4, 4)
    exact = swirl_solution(z, start, end)
    steps = torch.tensor([64, 128, 256, 512], dtype=torch.float64)
    times = [torch.linspace(start, end, int(n) + 1, dtype=torch.float64) for n in steps]
    errors = torch.stack([(DPMSolver().solve(swirl, z, grid) - exact).abs().max() for grid in times])
    logs = torch.stack([torch.ones(4), -steps.log()]).T.double()
    slope = torch.linalg.lstsq(logs, errors.log()[:, None]).solution[1].item()
    assert slope == pytest.approx(order, abs=0.1)  # the next order still shows at 64 steps


def test_one_step_is_eulers():
    z1, times = normal(0, 2, 2, 3, 3), UniformGrid().times(1)
    torch.testing.assert_close(DPMSolver().solve(field, z1, times), Euler().solve(field, z1, times), rtol=0, atol=1e-14)


def test_each_step_is_one_evaluation_and_never_at_zero():
    asked = []

    def velocity(z, t):
        asked.append(t[0].item())
        return z / t.reshape(-1, 1, 1, 1)

    assert bool(DPMSolver().solve(velocity, normal(0, 1, 1, 2, 2), UniformGrid().times(4)).isfinite().all())
    assert asked == [1, 0.75, 0.5, 0.25]


@given(seeds, st.integers(4, 20), st.floats(0.05, 0.95))
def test_a_restart_is_two_runs_end_to_end_and_no_restart_is_not(seed, num_steps, boundary):
    z1, times = normal(seed, 1, 2, 3, 3), ShiftedGrid(3.0).times(num_steps)
    split = int((times >= boundary).sum())
    restarted = DPMSolver(restart_at=[boundary]).solve(field, z1, times)
    half = DPMSolver().solve(field, z1, times[: split + 1])
    if split + 1 < len(times):
        half = DPMSolver().solve(field, half, times[split:])
    torch.testing.assert_close(restarted, half, rtol=0, atol=1e-13)
    crossed = DPMSolver().solve(field, z1, times)
    looks_back = 1 < split < num_steps - 1  # the step after the boundary has a past, and is not the last, of first order
    assert torch.equal(crossed, restarted) is not looks_back


def test_experts_that_agree_are_one_field_whether_history_is_kept_or_not():
    """Two experts that are the same function: a switch changes nothing where history crosses it."""
    z1, times = normal(0, 1, 2, 3, 3), ShiftedGrid(3.0).times(12)
    calls = []

    def experts(z, t):
        calls.append(int(t[0] >= 0.875))
        return [field, field][calls[-1]](z, t)

    assert torch.equal(DPMSolver().solve(experts, z1, times), DPMSolver().solve(field, z1, times))
    assert sum(a != b for a, b in pairwise(calls)) == 1


BAD = [{"order": 3}, {"order": 0}, {"order": True}, {"restart_at": [1.5]}, {"restart_at": ["a"]}, {"restart_at": 0.5}]


@pytest.mark.parametrize("options", BAD)
def test_options_out_of_range_are_refused_by_key(options):
    with pytest.raises(ConfigError, match=rf"solver\.{next(iter(options))}"):
        DPMSolver(**options)
