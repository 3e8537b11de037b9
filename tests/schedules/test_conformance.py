"""The checks find what is wrong: one broken component for each law that a plugin could plausibly break."""

import pytest
import torch

from linearsr.schedules import Euler, RectifiedFlow, UniformGrid, UniformTimes, VelocityPreconditioner
from linearsr.schedules.conformance import (
    check_path,
    check_preconditioner,
    check_solver,
    check_time_grid,
    check_time_sampler,
)


class TimesRoundedTo16Bits(RectifiedFlow):
    def interpolate(self, z0, z1, t):
        return super().interpolate(z0, z1, t.to(z0.dtype).to(t.dtype))


class TargetTheOtherWay(RectifiedFlow):
    def target(self, z0, z1):
        return z0 - z1


class LogSNRWithoutTheSquare(RectifiedFlow):
    def log_snr(self, t):
        return super().log_snr(t) / 2

    def t_from_log_snr(self, log_snr):
        return super().t_from_log_snr(2 * log_snr)


class ClampedToTheInterval(UniformTimes):
    def sample(self, n, generator=None, *, interval=(0.0, 1.0)):
        return super().sample(n, generator).clamp(interval[0], interval[1] - 1e-9 if interval[1] < 1 else 1.0)


class GlobalRandomness(UniformTimes):
    def sample(self, n, generator=None, *, interval=(0.0, 1.0)):
        return super().sample(n, None, interval=interval)


class StopsShortOfZero(UniformGrid):
    def times(self, num_steps):
        return super().times(num_steps).clamp(min=1e-3)


class CountsItsSteps(Euler):
    """Hidden state: the second run starts where the first ended."""

    def __init__(self):
        self.done = 0

    def solve(self, velocity, z1, times):
        self.done += 1
        return super().solve(velocity, z1, times) * (1 + 1e-3 * self.done)


class StaleSlope(Euler):
    """Asks once and walks on: right for a constant velocity only."""

    def solve(self, velocity, z1, times):
        return z1 + (times[-1] - times[0]).item() * velocity(z1, times[:1].expand(len(z1)))


class SilentHalfway(VelocityPreconditioner):
    def scales(self, t):
        c_in, c_skip, _ = super().scales(t)
        return c_in, c_skip, 2 * t - 1


@pytest.mark.parametrize(
    ("check", "broken", "law"),
    [
        (check_path, TimesRoundedTo16Bits(), "bfloat16 latents"),
        (check_path, TargetTheOtherWay(), "derivative"),
        (check_path, LogSNRWithoutTheSquare(), "log-SNR of z_t"),
        (check_time_sampler, ClampedToTheInterval(), "conditional"),
        (check_time_sampler, GlobalRandomness(), "follow from the generator"),
        (check_time_grid, StopsShortOfZero(), "exactly 0"),
        (check_solver, CountsItsSteps(), "no state"),
        (check_solver, StaleSlope(), "converges"),
        (check_preconditioner, SilentHalfway(), "nowhere 0"),
    ],
)
def test_a_broken_component_is_told_which_law_it_breaks(check, broken, law):
    assert any(law in finding.law for finding in check(broken).failed), str(check(broken))


def test_a_time_that_is_not_finite_is_found():
    class PoleAtTheEnd(VelocityPreconditioner):
        def scales(self, t):
            return torch.reciprocal(1 - t), t, t + 1

    assert "finite" in check_preconditioner(PoleAtTheEnd()).failed[0].law
