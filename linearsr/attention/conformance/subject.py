"""The attention on trial and the tokens it is tried on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from linearsr.core.conformance import LawSkippedError
from linearsr.core.randomness import generator
from linearsr.core.trial import Trial

Grid = tuple[int, int]

GRIDS: tuple[Grid, ...] = ((1, 1), (1, 7), (5, 3), (13, 41))
"""One token, a prime number, taller than wide, wider than tall with more tokens than any likely chunk."""


@dataclass(frozen=True)
class Subject:
    """build: () -> attention; dim: width of a token; seed: of tokens and weights."""

    build: Callable[[], Any]
    dim: int
    seed: int

    def tokens(self, grid: Grid, batch: int = 3) -> Tensor:
        """Standard normal, float64 [batch, N, dim]."""
        draw = generator(self.seed)
        return torch.randn(batch, grid[0] * grid[1], self.dim, generator=draw, dtype=torch.float64)

    def trial(self, grid: Grid) -> Trial:
        return Trial(self.build, lambda module, x: module(x, grid), self.tokens(grid))

    def module(self, dtype: torch.dtype = torch.float64) -> Any:
        return self.trial((1, 1)).module(dtype, self.seed)


def require_declared(attention: object, flag: str) -> None:
    if getattr(attention, flag, None) is not True:
        raise LawSkippedError(f"{flag} is not declared")
