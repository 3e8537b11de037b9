"""DPM-Solver++ for flow matching: second order at one evaluation a step (Lu et al. 2022, multistep, "2M", midpoint form).

With z_t = (1 − t) z0 + t z1 the signal is α = 1 − t, the noise σ = t, and z0 is estimated as x = z − t·v. A step from s to t,
exact for an x that does not change:  z_t = (σ_t / σ_s) z_s + (α_t − σ_t α_s / σ_s) x.
The second order extrapolates x to the middle of the step, in half log-SNR λ = ln(α/σ), from the last two estimates.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from linearsr.core.errors import ConfigError
from linearsr.core.registries import SOLVERS
from linearsr.core.values import require_count
from linearsr.schedules.stepping import at_time, steps_of

if TYPE_CHECKING:
    from torch import Tensor

    from linearsr.core.protocols import Velocity

ORDERS = 2


@SOLVERS.register_module()
class DPMSolver:
    """One evaluation a step; one step is Euler's.

    order:      1 (DDIM) or 2
    restart_at: times in 0..1, such as a router's boundaries: the first step that begins below one is of first order. By
                default the history crosses a change of experts: what it holds are estimates of one and the same z0

    The first step from t = 1 and the last onto t = 0 are of first order: λ is infinite there. Steps that are equal in t grow
    in λ towards both ends, so that over all of 1..0 errors fall as h² ln(1/h), and as h² inside. Raises ConfigError for other
    orders and times.
    """

    def __init__(self, order: int = ORDERS, restart_at: Sequence[float] = ()):
        if require_count(order, "solver.order") > ORDERS:
            raise ConfigError(f"solver.order is {order}; wanted 1 or 2")
        if not isinstance(restart_at, list | tuple) or not all(
            isinstance(at, int | float) and 0 <= at <= 1 for at in restart_at
        ):
            raise ConfigError(f"solver.restart_at is {restart_at!r}; wanted a list of times in 0..1")
        self.order, self.restart_at = order, tuple(restart_at)

    def solve(self, velocity: Velocity, z1: Tensor, times: Tensor) -> Tensor:
        """z1 [B, C, h, w] at times[0] -> z at times[-1], in z1's type. Raises ConfigError for times that do not descend."""
        z, before, came_from = z1, None, 0.0
        for now, then in steps_of(times):
            x = z - now * velocity(z, at_time(now, z, times)).to(z.dtype)
            trend = 0.0 if before is None or self._parted(came_from, now) else _trend(came_from, now, then)
            ahead = x if before is None or trend == 0 else x + trend * (x - before)
            kept = then / now
            z = kept * z + ((1 - then) - kept * (1 - now)) * ahead
            before, came_from = x if self.order > 1 else None, now
        return z

    def _parted(self, came_from: float, now: float) -> bool:
        return any(now < time <= came_from for time in self.restart_at)


def _trend(before: float, now: float, then: float) -> float:
    """h / (2·h_before) for steps in λ: how much of the last change of x there will be by the middle of the next step."""
    if before >= 1 or then <= 0:
        return 0.0
    return (_half_log_snr(then) - _half_log_snr(now)) / (_half_log_snr(now) - _half_log_snr(before)) / 2


def _half_log_snr(t: float) -> float:
    return math.log((1 - t) / t)
