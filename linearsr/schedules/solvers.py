"""From noise to a picture by following the velocity. Plain loops: no state, no network, no guidance.

B pictures; z [B, C, h, w]; times float64 [n + 1], descending. `velocity(z, t)` gets t as float64 [B], where `times` lie:
on the host, so that nobody must wait for a device to know what time it is, if they lie there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from linearsr.core.registries import SOLVERS
from linearsr.schedules.stepping import advance, at_time, steps_of

if TYPE_CHECKING:
    from torch import Tensor

    from linearsr.core.protocols import Velocity


@SOLVERS.register_module()
class Euler:
    """First order, one evaluation a step. Exact where the velocity does not change along the path."""

    def solve(self, velocity: Velocity, z1: Tensor, times: Tensor) -> Tensor:
        """z1 [B, C, h, w] at times[0] -> z at times[-1], in z1's type. Raises ConfigError for times that do not descend."""
        z = z1
        for now, then in steps_of(times):
            z = advance(z, velocity(z, at_time(now, z, times)), then - now)
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
        for now, then in steps_of(times):
            slope = velocity(z, at_time(now, z, times)).to(z.dtype)
            if then > 0:
                slope = (slope + velocity(advance(z, slope, then - now), at_time(then, z, times))) / 2
            z = advance(z, slope, then - now)
        return z
