"""Which expert serves which noise level."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import torch

from linearsr.core.errors import ConfigError, ShapeError
from linearsr.core.registries import ROUTERS
from linearsr.experts.partition import PUBLISHED_BOUNDARIES

if TYPE_CHECKING:
    from torch import Tensor


@ROUTERS.register_module()
class SNRRouter:
    """Expert k serves boundaries[k−1] ≤ t < boundaries[k]: a t on a boundary goes to the noisier expert, as in Wan2.2.

    boundaries: K − 1 shifted times, strictly ascending inside 0..1, for K experts; the published triple gives four
        (LinearSR, Tab. 5). `bisect_log_snr` makes others. Raises ConfigError for anything else.
    """

    depends_on_time_only = True

    def __init__(self, boundaries: Sequence[float] = PUBLISHED_BOUNDARIES):
        ends = (0.0, *boundaries, 1.0)
        if not all(left < right for left, right in pairwise(ends)):
            raise ConfigError(f"router.boundaries are {tuple(boundaries)}; wanted strictly ascending times between 0 and 1")
        self.boundaries = tuple(float(boundary) for boundary in boundaries)

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
        """t [B] float32 or float64 in 0..1 -> int64 [B] in 0..K−1. `features` say nothing to this router.

        Compared in t's own type, so that a t that was set to a boundary is on it. Raises ShapeError for a 16-bit t (near
        0.875 the spacing of bfloat16 is 0.004), for NaN and for a t outside 0..1.
        """
        if t.dtype not in (torch.float32, torch.float64):
            raise ShapeError(f"t is {t.dtype}; wanted float32 or float64; keep t out of autocast and of .to(dtype)")
        if not bool(((t >= 0) & (t <= 1)).all()):
            raise ShapeError(f"t is {t.tolist()}; wanted times in 0..1, and no NaN")
        return torch.bucketize(t, torch.tensor(self.boundaries, dtype=t.dtype, device=t.device), right=True)
