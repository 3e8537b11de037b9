"""A router and what it is asked in a check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Asked:
    """t: float64 [n], ascending; features: of n pictures [n, F], None for a router that depends on time only."""

    router: Any
    num_experts: int
    t: Tensor
    features: Tensor | None

    @property
    def boundaries(self) -> tuple[float, ...]:
        return tuple(self.router.boundaries)

    def route(self, t: Tensor, rows: Tensor | None = None) -> Tensor:
        """rows: which pictures t [B] belongs to, [B]; the first ones where None."""
        return self.router.route(t, self._of(rows, len(t)))

    @torch.no_grad()
    def weights(self, t: Tensor) -> Tensor:
        return self.router.weights(t, self._of(None, len(t)))

    def _of(self, rows: Tensor | None, count: int) -> Tensor | None:
        if self.features is None:
            return None
        return self.features[:count] if rows is None else self.features[rows]
