"""From times to experts: what every router does alike."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from linearsr.core.errors import ConfigError, ShapeError
from linearsr.core.protocols import Router
from linearsr.experts.partition import require_boundaries

SHOWN = 8
"""Times in a message."""


def require_times(t: Tensor) -> Tensor:
    """Raises ShapeError unless t is [B], float32 or float64 and in 0..1. Near 0.875 the spacing of bfloat16 is 0.004."""
    if t.dtype not in (torch.float32, torch.float64):
        raise ShapeError(f"t is {t.dtype}; wanted float32 or float64; keep t out of autocast and of .to(dtype)")
    if t.ndim != 1:
        raise ShapeError(f"t is {list(t.shape)}; wanted one time per picture, [B]")
    inside = (t >= 0) & (t <= 1)
    if not bool(inside.all()):
        raise ShapeError(f"t holds {t[~inside][:SHOWN].tolist()}; wanted times in 0..1, and no NaN")
    return t


def count_experts(router: Router) -> int:
    """K: what the router says, or one more than it has boundaries."""
    return getattr(router, "num_experts", len(router.boundaries) + 1)


class TimeRouter:
    """Expert k serves boundaries[k−1] ≤ t < boundaries[k]: a t on a boundary goes to the noisier expert, as in Wan2.2.

    boundaries: K − 1 shifted times for K experts, strictly ascending inside 0..1; ConfigError for anything else
    """

    depends_on_time_only = True

    def __init__(self, boundaries: Iterable[float]):
        self.boundaries = require_boundaries(boundaries)

    @property
    def num_experts(self) -> int:
        return len(self.boundaries) + 1

    def interval(self, expert: int) -> tuple[float, float]:
        """(low, high) of an expert's times: what a time sampler takes as `interval` to train this expert alone."""
        if not 0 <= expert < self.num_experts:
            raise ConfigError(f"there is no expert {expert}; wanted 0..{self.num_experts - 1}")
        ends = (0.0, *self.boundaries, 1.0)
        return ends[expert], ends[expert + 1]

    def route(self, t: Tensor, features: Tensor | None = None) -> Tensor:
        """t [B] float32 or float64 in 0..1 -> int64 [B] in 0..K−1; ShapeError for any other. `features` say nothing here.

        Compared in t's own type, so that a t that was set to a boundary is on it.
        """
        boundaries = torch.tensor(self.boundaries, dtype=t.dtype, device=t.device)
        return torch.bucketize(require_times(t).contiguous(), boundaries, right=True)
