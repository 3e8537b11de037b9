"""What a denoiser knows before the first step and need not compute again."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from linearsr.core.backbones.cross_attention import CrossTokens
from linearsr.core.backbones.tiling.token_buffer import TokenBuffer


@dataclass(frozen=True)
class TimeTables:
    """Modulation of a whole grid of times. times float [T]; blocks: per block [6, T, D]; head [2, T, D]."""

    times: Tensor
    blocks: tuple[Tensor, ...]
    head: Tensor

    def at(self, t: Tensor) -> TimeTables | None:
        """The rows of t [B], one row if all of t is one time; None if any is absent.

        Found by equality in the wider of the two types: a float64 t beside a float32 time is another time.
        """
        found = self.times[None] == t[:, None].to(self.times.device)
        if not bool(found.any(-1).all()):
            return None
        rows = found.to(torch.uint8).argmax(-1)
        if bool((rows == rows[0]).all()):
            rows = rows[:1]
        return TimeTables(self.times[rows], tuple(table[:, rows] for table in self.blocks), self.head[:, rows])


@dataclass(frozen=True)
class Prepared:
    """lr_share: the LR's part of the embedding and the positions, None without a stem, of one band of rows where ranks share
    a picture; grid: token rows and columns of the whole; cross: per block, None without guidance; tables: None if no times
    were given."""

    lr_share: TokenBuffer | None
    grid: tuple[int, int] | None
    cross: tuple[CrossTokens | None, ...]
    tables: TimeTables | None
