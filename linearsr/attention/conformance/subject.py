"""The attention on trial and the tokens it is tried on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from linearsr.core.conformance import LawSkippedError
from linearsr.core.errors import ConfigError
from linearsr.core.randomness import generator
from linearsr.core.trial import Trial

Grid = tuple[int, int]

GRIDS: tuple[Grid, ...] = ((1, 1), (1, 7), (5, 3), (13, 41))
"""One token, a prime number, taller than wide, wider than tall with more tokens than any likely chunk."""


@dataclass(frozen=True)
class Subject:
    """build: () -> attention; dim: width of a token; seed: of tokens and weights; device: of both."""

    build: Callable[[], Any]
    dim: int
    seed: int
    device: torch.device

    def tokens(self, grid: Grid, batch: int = 3) -> Tensor:
        """Standard normal, float64 [batch, N, dim]; on every device the same."""
        draw = generator(self.seed)
        return torch.randn(batch, grid[0] * grid[1], self.dim, generator=draw, dtype=torch.float64).to(self.device)

    def trial(self, grid: Grid) -> Trial:
        return Trial(self.build, lambda module, x: module(x, grid), self.tokens(grid))

    def module(self, dtype: torch.dtype = torch.float64) -> Any:
        return self.trial((1, 1)).module(dtype, self.seed)


def usable(device: torch.device | str) -> torch.device:
    """Raises ConfigError for a device that is not there, and for one without float64, in which most laws are held."""
    try:
        return torch.empty((), dtype=torch.float64, device=device).device
    except Exception as cause:  # torch raises AssertionError, NotImplementedError, RuntimeError or TypeError
        reason = str(cause).partition("\n")[0]
        raise ConfigError(
            f"device={str(device)!r} holds no float64: {reason}; choose 'cpu', or 'cuda' if there is one"
        ) from cause


def require_declared(attention: object, flag: str) -> None:
    if getattr(attention, flag, None) is not True:
        raise LawSkippedError(f"{flag} is not declared")
