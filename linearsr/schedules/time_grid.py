"""Which times a sampling run visits, from noise at 1 to the picture at 0."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from linearsr.core.registries import TIME_GRIDS
from linearsr.schedules.checks import require_count, require_positive
from linearsr.schedules.time_shift import shift_time

if TYPE_CHECKING:
    from torch import Tensor


@TIME_GRIDS.register_module()
class UniformGrid:
    """Equal steps in t."""

    def times(self, num_steps: int) -> Tensor:
        """float64 [num_steps + 1], 1 down to 0. Raises ConfigError for fewer than one step."""
        return torch.linspace(1, 0, require_count(num_steps, "num_steps") + 1, dtype=torch.float64)


@TIME_GRIDS.register_module()
class ShiftedGrid:
    """Equal steps in t, then the time shift: more of the steps go where there is much noise.

    shift: s > 0, else ConfigError; 3 is Sana's at 512² and 1024². The first step of n goes from 1 to s(n−1)/(s(n−1) + 1).
    """

    def __init__(self, shift: float = 3.0):
        self.shift = require_positive(shift, "time_grid.shift")

    def times(self, num_steps: int) -> Tensor:
        """float64 [num_steps + 1], 1 down to 0. Raises ConfigError for fewer than one step."""
        return shift_time(UniformGrid().times(num_steps), self.shift)
