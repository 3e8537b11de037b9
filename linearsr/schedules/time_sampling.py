"""At which times a training step looks.

Every sampler draws through its inverse CDF, so a draw restricted to an interval is the true conditional distribution:
that is how an expert is trained on its own range of times alone.
"""

from __future__ import annotations

import math
import sys
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import torch

from linearsr.core.errors import ConfigError
from linearsr.core.registries import TIME_SAMPLERS
from linearsr.schedules.checks import require_count, require_finite, require_positive

if TYPE_CHECKING:
    from torch import Tensor


class InverseCDFTimes(ABC):
    """A distribution on (0, 1], given by its conditional quantile function."""

    @abstractmethod
    def quantile(self, u: Tensor, low: float, high: float) -> Tensor:
        """u float64 [n] in (0, 1] -> t [n] with P(t ≤ quantile(u) | low ≤ t < high) = u. `high` = 1 includes 1.

        May return NaN where the interval has no probability.
        """

    def sample(self, n: int, generator: torch.Generator | None = None, *, interval: tuple[float, float] = (0.0, 1.0)) -> Tensor:
        """float64 [n] on the CPU, in low ≤ t < high as a router cuts them; 0 is never drawn, 1 belongs to high = 1.

        Raises ConfigError for n < 0, for an interval outside 0 ≤ low < high ≤ 1, or for one without probability.
        """
        low, high = _checked(interval)
        u = 1 - torch.rand(require_count(n, "n", at_least=0), generator=generator, dtype=torch.float64)
        t = self.quantile(u, low, high)
        if t.isnan().any():
            raise ConfigError(f"{type(self).__name__} has no probability in {low} ≤ t < {high}; change the interval")
        # rounding in the quantile may step onto or over an end
        return t.clamp(max(low, sys.float_info.min), high if high == 1 else math.nextafter(high, 0))


@TIME_SAMPLERS.register_module()
class UniformTimes(InverseCDFTimes):
    """Every time alike."""

    def quantile(self, u: Tensor, low: float, high: float) -> Tensor:
        return low + (high - low) * u


@TIME_SAMPLERS.register_module()
class LogitNormalTimes(InverseCDFTimes):
    """logit t ~ N(mean + ln shift, std²): Sana's training times, shift 3 up to 1024² and 6 at 4096².

    mean, std: of logit t before the shift, std > 0; shift: > 0, see `shift_time`. Raises ConfigError otherwise.
    """

    def __init__(self, mean: float = 0.0, std: float = 1.0, shift: float = 3.0):
        self.mean = require_finite(mean, "time_sampler.mean") + math.log(require_positive(shift, "time_sampler.shift"))
        self.std = require_positive(std, "time_sampler.std")

    def quantile(self, u: Tensor, low: float, high: float) -> Tensor:
        ends = (torch.tensor([low, high], dtype=torch.float64).logit() - self.mean) / self.std
        if ends[0] < 0:
            return self._from_normal(_truncated_normal(u, ends))
        # in the upper tail the CDF is 1 up to rounding: draw from the mirrored interval, where it is not
        return self._from_normal(-_truncated_normal(1 - u, -ends.flip(0)))

    def _from_normal(self, x: Tensor) -> Tensor:
        return (self.mean + self.std * x).sigmoid()


@TIME_SAMPLERS.register_module()
class EndWeightedTimes(InverseCDFTimes):
    """Exactly t = 1 with probability p_end, else uniform (our choice: one-step restoration only ever sees t = 1).

    p_end: in 0..1, else ConfigError.
    """

    def __init__(self, p_end: float = 0.3):
        if not 0 <= require_finite(p_end, "time_sampler.p_end") <= 1:
            raise ConfigError(f"time_sampler.p_end is {p_end}; wanted a probability in 0..1; change time_sampler.p_end")
        self.p_end = float(p_end)

    def quantile(self, u: Tensor, low: float, high: float) -> Tensor:
        # the CDF is (1 − p) t below t = 1 and jumps to 1 there: every level above 1 − p belongs to t = 1
        slope = torch.tensor(1 - self.p_end, dtype=u.dtype)
        below, upto = slope * low, slope * high if high < 1 else torch.ones_like(slope)
        return ((below + (upto - below) * u) / slope).clamp(max=1)


def _truncated_normal(u: Tensor, ends: Tensor) -> Tensor:
    """Standard normal quantiles given that the draw lies between ends [2]; NaN where that has no probability."""
    below, upto = torch.special.erfc(-ends / math.sqrt(2)) / 2  # torch's ndtr is 0 below −8.3, erfc is not
    inside = torch.special.ndtri(below + (upto - below) * u)
    return torch.where(upto > below, inside, torch.nan)


def _checked(interval: tuple[float, float]) -> tuple[float, float]:
    low, high = (float(end) for end in interval)
    if not 0 <= low < high <= 1:
        raise ConfigError(f"the interval of times is ({low}, {high}); wanted 0 ≤ low < high ≤ 1; change `interval`")
    return low, high
