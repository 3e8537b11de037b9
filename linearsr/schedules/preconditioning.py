"""What the network sees and predicts, chosen so that both have the size of a unit normal at every noise level."""

from __future__ import annotations

from typing import TYPE_CHECKING

from linearsr.core.registries import PRECONDITIONERS
from linearsr.schedules.checks import require_exact_times

if TYPE_CHECKING:
    from torch import Tensor


@PRECONDITIONERS.register_module()
class VelocityPreconditioner:
    """v = c_skip·z_t + c_out·F(c_in·z_t) for the straight path and latents of unit variance (our choice, not LinearSR's).

    Let z0, z1 have unit variance and be independent, z_t = (1−t) z0 + t z1, v = z1 − z0. Then

        d = Var z_t = (1−t)² + t²,   Cov(z0, z_t) = 1 − t,   Cov(v, z_t) = t − (1−t) = 2t − 1.

    c_in = (1−t)/d: the network sees the best linear guess of z0 from z_t. It is 0 at t = 1, so one step from t = 1
    does not depend on the noise at all.
    c_skip = (2t−1)/d: the best linear guess of v from z_t needs no network. What is left is uncorrelated with z_t,

        v − c_skip·z_t = ((1−t) z1 − t z0)/d,   of variance ((1−t)² + t²)/d² = 1/d.

    c_out = −1/√d: so the ideal target is F = (t z0 − (1−t) z1)/√d, of variance 1 at every t. The sign is free: it
    changes F into −F, which a zero-initialised linear output reaches as easily. With the minus, F at t = 1 is z0
    itself, and z1 − v = F: the network's output is the picture.

    d lies in 0.5..1, so nothing is divided by a small number.
    """

    def scales(self, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """t [B] float32 or float64 -> (c_in, c_skip, c_out), each [B] in t's type. Raises ShapeError for a 16-bit t."""
        variance = (1 - require_exact_times(t)) ** 2 + t**2
        return (1 - t) / variance, (2 * t - 1) / variance, -variance.rsqrt()
