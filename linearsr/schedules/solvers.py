"""From noise to a picture by following the velocity. Plain loops: no state, no network, no guidance.

B pictures; z [B, C, h, w]; times float64 [n + 1], descending. `velocity(z, t)` gets t as float64 [B] on z's device.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch

from linearsr.core.errors import ConfigError, ShapeError
from linearsr.core.registries import SOLVERS
from linearsr.schedules.checks import require_exact_times

if TYPE_CHECKING:
    from torch import Tensor

    from linearsr.core.protocols import Velocity


@SOLVERS.register_module()
class Euler:
    """First order, one evaluation a step. Exact where the velocity does not change along the path."""

    def solve(self, velocity: Velocity, z1: Tensor, times: Tensor) -> Tensor:
        """z1 [B, C, h, w] at times[0] -> z at times[-1], in z1's type. Raises ConfigError for times that do not descend."""
        z = z1
        for now, then in _steps(times):
            z = _advance(z, velocity(z, _at(now, z)), then - now)
        return z


@SOLVERS.register_module()
class Heun:
    """Second order, two evaluations a step: the mean of the velocities at both ends (improved Euler).

    The step onto t = 0 is an Euler step, as in Karras et al. 2022: the velocity is never asked at t = 0, where no
    training time lies and λ is infinite. One such step costs O(h²), so the order stays 2. n steps cost 2n − 1
    evaluations, and one step is Euler's.
    """

    def solve(self, velocity: Velocity, z1: Tensor, times: Tensor) -> Tensor:
        """z1 [B, C, h, w] at times[0] -> z at times[-1], in z1's type. Raises ConfigError for times that do not descend."""
        z = z1
        for now, then in _steps(times):
            slope = velocity(z, _at(now, z)).to(z.dtype)
            if then > 0:
                slope = (slope + velocity(_advance(z, slope, then - now), _at(then, z))) / 2
            z = _advance(z, slope, then - now)
        return z


def _advance(z: Tensor, v: Tensor, step: float) -> Tensor:
    """z + step·v in z's type, so that a 16-bit velocity does not make the latent 16-bit."""
    return z + step * v.to(z.dtype)


def _at(time: float, z: Tensor) -> Tensor:
    return torch.full((len(z),), time, dtype=torch.float64, device=z.device)


def _steps(times: Tensor) -> list[tuple[float, float]]:
    """(from, to) of each step."""
    if times.ndim != 1 or len(times) < 2:
        raise ShapeError(f"times are {list(times.shape)}; wanted [num_steps + 1] from time_grid.times(num_steps ≥ 1)")
    ticks: list[float] = require_exact_times(times).tolist()
    steps = list(pairwise(ticks))
    if not (ticks[0] <= 1 and ticks[-1] >= 0 and all(then < now for now, then in steps)):
        raise ConfigError(f"times are {ticks}; wanted strictly descending within 1..0; change time_grid")
    return steps
