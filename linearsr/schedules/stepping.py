"""What every solver does at a step."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch

from linearsr.core.errors import ConfigError, ShapeError
from linearsr.schedules.checks import require_exact_times

if TYPE_CHECKING:
    from torch import Tensor


def advance(z: Tensor, v: Tensor, step: float) -> Tensor:
    """z + step·v in z's type, so that a 16-bit velocity does not make the latent 16-bit."""
    return z + step * v.to(z.dtype)


def at_time(time: float, z: Tensor, times: Tensor) -> Tensor:
    """float64 [B] for the B pictures of z, on the device of the grid `times`."""
    return torch.full((len(z),), time, dtype=torch.float64, device=times.device)


def steps_of(times: Tensor) -> list[tuple[float, float]]:
    """(from, to) of each step. Raises ShapeError or ConfigError for times that are no grid."""
    if times.ndim != 1 or len(times) < 2:
        raise ShapeError(f"times are {list(times.shape)}; wanted [num_steps + 1] from time_grid.times(num_steps ≥ 1)")
    ticks: list[float] = require_exact_times(times).tolist()
    steps = list(pairwise(ticks))
    if not (ticks[0] <= 1 and ticks[-1] >= 0 and all(then < now for now, then in steps)):
        raise ConfigError(f"times are {ticks}; wanted strictly descending within 1..0; change time_grid")
    return steps
