"""The straight path between data and noise: z_t = (1 − t) z0 + t z1.

B pictures, C channels, (h, w) latent grid; t is float32 or float64 [B], 0 clean and 1 noise. Products with t are formed in
the wider of both types and rounded to the latent's type once, so that t itself is never rounded to 16 bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from linearsr.core.errors import ShapeError
from linearsr.core.registries import PATHS
from linearsr.schedules.checks import require_exact_times

if TYPE_CHECKING:
    from torch import Tensor


@PATHS.register_module()
class RectifiedFlow:
    """Flow matching with z1 ~ N(0, I) and the constant velocity z1 − z0 (LinearSR; as Sana).

    Raises ShapeError for a t that is 16-bit or does not have one time per picture.
    """

    def interpolate(self, z0: Tensor, z1: Tensor, t: Tensor) -> Tensor:
        """z0, z1 [B, C, h, w], t [B] -> z_t [B, C, h, w] in z0's type."""
        t = _per_picture(t, z0)
        return ((1 - t) * z0 + t * z1).to(z0.dtype)

    def target(self, z0: Tensor, z1: Tensor) -> Tensor:
        """The velocity dz_t/dt = z1 − z0, [B, C, h, w]; the same at every t."""
        return z1 - z0

    def log_snr(self, t: Tensor) -> Tensor:
        """λ = 2 log((1 − t)/t) in t's type and shape; strictly decreasing, +∞ at t = 0 and −∞ at t = 1."""
        return -2 * require_exact_times(t).logit()

    def t_from_log_snr(self, log_snr: Tensor) -> Tensor:
        """The inverse of `log_snr`: t = 1/(1 + exp(λ/2)), in λ's type and shape."""
        return (-0.5 * require_exact_times(log_snr)).sigmoid()


def _per_picture(t: Tensor, z: Tensor) -> Tensor:
    """t [B] -> [B, 1, 1, 1], ready to multiply z [B, C, h, w]."""
    if require_exact_times(t).shape != z.shape[:1]:
        raise ShapeError(f"t is {list(t.shape)} for latents {list(z.shape)}; wanted one time per picture, [{z.shape[0]}]")
    return t.reshape(-1, *[1] * (z.ndim - 1))
