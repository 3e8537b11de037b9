"""Solvers on fields with a known answer."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from linearsr.core.errors import ConfigError, ShapeError
from linearsr.schedules import DPMSolver, Euler, Heun, ShiftedGrid, UniformGrid
from tests.strategies import normal, seeds

solvers = pytest.mark.parametrize(
    "solver", [Euler(), Heun(), DPMSolver(), DPMSolver(1)], ids=["Euler", "Heun", "DPM 2", "DPM 1"]
)


@solvers
@given(seeds, st.integers(1, 30), st.floats(0.2, 10))
def test_a_constant_velocity_is_followed_exactly_at_any_step_count(solver, seed, num_steps, shift):
    z1, v = normal(seed, 2, 3, 2, 2), normal(seed + 1, 2, 3, 2, 2)
    got = solver.solve(lambda z, t: v, z1, ShiftedGrid(shift).times(num_steps))
    torch.testing.assert_close(got, z1 - v, rtol=0, atol=1e-13)  # thirty additions of numbers of size 4


def swirl(z, t):
    """A field that turns and shrinks, at a speed that depends on t. Its solution is known in closed form."""
    speed = 1 + 2 * t.reshape(-1, 1, 1, 1)
    return speed * torch.stack([-z[:, 1], z[:, 0]], dim=1) + speed * 0.5 * z


def swirl_solution(z, start=1.0, end=0.0):
    """From z at `start` to `end`: turn by a = ∫ speed dt and grow by exp(a/2); from 1 to 0, a is −2."""
    angle = (end + end**2) - (start + start**2)
    cos, sin = math.cos(angle), math.sin(angle)
    turned = torch.stack([cos * z[:, 0] - sin * z[:, 1], sin * z[:, 0] + cos * z[:, 1]], dim=1)
    return math.exp(angle / 2) * turned


@pytest.mark.parametrize(
    ("solver", "order"),
    [(Euler(), 1), (Heun(), 2), (DPMSolver(1), 1)],
    ids=["Euler", "Heun", "DPM 1"],
)
@pytest.mark.parametrize("grid", [UniformGrid(), ShiftedGrid(3.0)], ids=["uniform", "shifted"])
def test_the_fitted_order_of_convergence_is_the_promised_one(solver, order, grid):
    z1 = normal(0, 3, 2, 4, 4)
    steps = torch.tensor([32, 64, 128, 256, 512], dtype=torch.float64)
    errors = [(solver.solve(swirl, z1, grid.times(int(n))) - swirl_solution(z1)).abs().max() for n in steps]
    logs = torch.stack([torch.ones(5), -steps.log()]).T.double()
    slope = torch.linalg.lstsq(logs, torch.stack(errors).log()[:, None]).solution[1].item()
    assert slope == pytest.approx(order, abs=0.1)  # the next order still shows at 32 steps


def test_one_heun_step_is_one_euler_step_from_the_noise():
    z1 = normal(0, 2, 2, 3, 3)
    times = UniformGrid().times(1)
    assert torch.equal(Heun().solve(swirl, z1, times), Euler().solve(swirl, z1, times))
    torch.testing.assert_close(Euler().solve(swirl, z1, times), z1 - swirl(z1, torch.ones(2)), rtol=0, atol=1e-14)


def test_heun_never_asks_at_time_zero_and_needs_2n_minus_1_evaluations():
    asked = []

    def velocity(z, t):
        asked.append(t[0].item())
        return z / t.reshape(-1, 1, 1, 1)  # has a pole at 0

    assert bool(Heun().solve(velocity, normal(0, 1, 1, 2, 2), UniformGrid().times(4)).isfinite().all())
    assert asked == [1, 0.75, 0.75, 0.5, 0.5, 0.25, 0.25]


def test_a_grid_that_stops_above_zero_is_corrected_to_its_end():
    asked = []

    def velocity(z, t):
        asked.append(t[0].item())
        return z

    Heun().solve(velocity, normal(0, 1, 1, 2, 2), torch.tensor([1, 0.5], dtype=torch.float64))
    assert asked == [1, 0.5]


@solvers
def test_gradients_go_through_every_step(solver):
    scale = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    z1 = normal(0, 1, 1, 2, 2)
    times = UniformGrid().times(3)
    assert torch.autograd.gradcheck(lambda s: solver.solve(lambda z, t: s * z, z1, times), (scale,))


@solvers
def test_a_bfloat16_velocity_is_stepped_in_the_latents_own_type(solver):
    z1, v = normal(0, 1, 1, 4, 4, dtype=torch.float32), normal(1, 1, 1, 4, 4, dtype=torch.bfloat16)
    times = torch.tensor([0.9, 0.6], dtype=torch.float64)
    got = solver.solve(lambda z, t: v, z1, times)
    torch.testing.assert_close(got, z1 - 0.3 * v.float(), rtol=0, atol=1e-6)  # in bfloat16 the step alone errs by 1e-3


def test_heun_averages_two_bfloat16_velocities_in_the_latents_own_type():
    z1 = normal(0, 1, 1, 4, 4, dtype=torch.float32)
    first, second = (normal(i, 1, 1, 4, 4, dtype=torch.bfloat16) for i in (1, 2))
    times = torch.tensor([0.9, 0.6], dtype=torch.float64)
    got = Heun().solve(lambda z, t: first if t[0] > 0.7 else second, z1, times)
    torch.testing.assert_close(got, z1 - 0.15 * (first.float() + second.float()), rtol=0, atol=1e-6)


@solvers
def test_pictures_of_a_batch_do_not_mix(solver):
    z1, times = normal(0, 3, 2, 2, 2), UniformGrid().times(5)
    together = solver.solve(swirl, z1, times)
    alone = torch.cat([solver.solve(swirl, z1[i : i + 1], times) for i in range(3)])
    assert torch.equal(together, alone)


@solvers
@pytest.mark.parametrize(
    ("times", "error"),
    [
        ([1.0], ShapeError),
        ([[1.0, 0.0]], ShapeError),
        ([0.0, 1.0], ConfigError),
        ([1.0, 0.5, 0.5, 0.0], ConfigError),
        ([1.5, 0.0], ConfigError),
        ([1.0, -0.1], ConfigError),
        ([1.0, math.nan, 0.0], ConfigError),
    ],
)
def test_times_that_are_no_descending_grid_are_refused(solver, times, error):
    with pytest.raises(error, match="times are"):
        solver.solve(swirl, normal(0, 1, 2, 2, 2), torch.tensor(times, dtype=torch.float64))
