"""Classifier-free guidance: along the difference that guidance makes, to beyond what it asks for (Ho and Salimans, 2022)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch

from linearsr.core.errors import ConfigError, ShapeError
from linearsr.core.registries import GUIDERS
from linearsr.core.values import require_finite

if TYPE_CHECKING:
    from torch import Tensor

EVERYWHERE = (0.0, 1.0)


@GUIDERS.register_module()
class ClassifierFreeGuidance:
    """v = v_u + s·(v_c − v_u), of the velocities v_c with guidance and v_u with what stands for none.

    scale:            s ≥ 0: 1 gives v_c, exactly and without asking for v_u, 0 gives v_u; SeeSR has 5.5
    per_expert:       instead of `scale`: one for each of the denoiser's experts, that of the least noise first (Wan2.2: [3, 4])
    rescale:          φ in 0..1: v becomes φ·v·std(v_c)/std(v) + (1 − φ)·v, with each picture's standard deviations, against
                      overexposure (Lin et al., 2024; diffusers' guidance_rescale). A constant v stays
    interval:         (low, high) in t: where low ≤ t < high, and at t = 1 if high is 1, s is as above; elsewhere it is 1
                      (Kynkäänniemi et al., 2024, with a router's convention for the ends)
    log_snr_interval: instead of `interval`: (low, high) in λ: where low < λ ≤ high, and at λ = −∞ if low is −∞
    log_snr, num_experts: supplied by the model

    Raises ConfigError for values that cannot be, for no scale or two, two intervals, or another number of experts.
    """

    def __init__(
        self,
        scale: float | None = None,
        per_expert: Sequence[float] | None = None,
        rescale: float = 0.0,
        interval: Sequence[float] = EVERYWHERE,
        log_snr_interval: Sequence[float] | None = None,
        log_snr: Callable[[Tensor], Tensor] | None = None,
        num_experts: int | None = None,
    ):
        if (scale is None) == (per_expert is None):
            raise ConfigError(f"guider.scale is {scale!r} and guider.per_expert {per_expert!r}; wanted one of both, not None")
        self.scale = None if scale is None else require_finite(scale, "guider.scale", at_least=0)
        self.per_expert = None if per_expert is None else _one_each(per_expert, num_experts)
        self.rescale = require_finite(rescale, "guider.rescale", 0, 1)
        self.interval = _ends(interval, "guider.interval", *EVERYWHERE)
        self.log_snr_interval = None
        if log_snr_interval is not None:
            self.log_snr_interval = _ends(log_snr_interval, "guider.log_snr_interval", -math.inf, math.inf)
            if self.interval != EVERYWHERE:
                raise ConfigError("guider.interval and guider.log_snr_interval are both set; leave one of them out")
            if log_snr is None:
                raise ConfigError("guider.log_snr_interval needs log_snr, a function of t; a model supplies that of its path")
        self._log_snr = log_snr

    @property
    def asks_expert(self) -> bool:
        return self.per_expert is not None

    def scales(self, t: Tensor, expert: Tensor | None = None) -> Tensor:
        """t float32 or float64 [B], expert int64 [B] for `per_expert` -> s [B] in t's type, 1 outside the interval."""
        if t.dtype not in (torch.float32, torch.float64):
            raise ShapeError(f"t is {t.dtype}; wanted float32 or float64: 16 bits cannot tell two sampling times apart")
        return torch.where(self._inside(t), self._asked_for(t, expert), 1.0)

    def combine(self, conditional: Tensor, unconditional: Tensor, scale: Tensor) -> Tensor:
        """v_c, v_u [B, C, h, w], s [B] -> v in v_c's type, computed in float32 at least; exactly v_c at 1, v_u at 0 for φ = 0.

        Without rescaling F and v may stand for one another: v = c_skip·z_t + c_out·F is the same affine map for both answers,
        and weights of a sum s and 1 − s go through it. Standard deviations do not.
        """
        wide = torch.promote_types(conditional.dtype, torch.float32)
        v_c, v_u = conditional.to(wide), unconditional.to(wide)
        v = torch.lerp(v_u, v_c, scale.to(wide).view(-1, *[1] * (v_c.ndim - 1)))
        if self.rescale > 0:
            wanted, own = _deviation(v_c), _deviation(v)
            v = v * (1 + self.rescale * (torch.where(own > 0, wanted / own, 1.0) - 1))
        return v.to(conditional.dtype)

    def _asked_for(self, t: Tensor, expert: Tensor | None) -> Tensor:
        if self.scale is not None:
            return torch.full_like(t, self.scale)
        if expert is None or self.per_expert is None:
            raise ConfigError("guider.per_expert needs to know each picture's expert; use guider.scale for a model without")
        return t.new_tensor(self.per_expert)[expert]

    def _inside(self, t: Tensor) -> Tensor:
        if self.log_snr_interval is None or self._log_snr is None:
            low, high = self.interval
            return (low <= t) & ((t < high) | (high == 1))
        low, high = self.log_snr_interval
        log_snr = self._log_snr(t)
        return ((low < log_snr) | (low == -math.inf)) & (log_snr <= high)


def _deviation(v: Tensor) -> Tensor:
    """[B, C, h, w] -> [B, 1, 1, 1]: of each picture's values."""
    return v.std(tuple(range(1, v.ndim)), correction=0, keepdim=True)


def _one_each(scales: Sequence[float], num_experts: int | None) -> tuple[float, ...]:
    if not isinstance(scales, list | tuple) or not scales or (num_experts is not None and len(scales) != num_experts):
        wanted = "of at least one number" if num_experts is None else f"of {num_experts} numbers, one for each expert"
        raise ConfigError(f"guider.per_expert is {scales!r}; wanted a list {wanted}; change guider.per_expert")
    return tuple(require_finite(scale, "guider.per_expert", at_least=0) for scale in scales)


def _ends(interval: Any, key: str, least: float, most: float) -> tuple[float, float]:
    numbers = isinstance(interval, list | tuple) and all(
        isinstance(end, int | float) and not isinstance(end, bool) for end in interval
    )
    if not numbers or len(interval) != 2 or not least <= interval[0] < interval[1] <= most:
        raise ConfigError(f"{key} is {interval!r}; wanted (low, high) with {least} ≤ low < high ≤ {most}; change {key}")
    return float(interval[0]), float(interval[1])
