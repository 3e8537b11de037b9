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

        Found by equality in the wider of the two types: a float64 t beside a float32 time is another time. Where times and t
        are on the CPU, no device is waited for.
        """
        found = self.times[None] == t[:, None].to(self.times.device)
        if not bool(found.any(-1).all()):
            return None
        rows = found.to(torch.uint8).argmax(-1)
        first = int(rows[0])
        if bool((rows == first).all()):
            return self._rows(slice(first, first + 1))
        return self._rows(rows.to(self.head.device, non_blocking=True))

    def tensors(self) -> list[Tensor]:
        """What a block and the head are given."""
        return [*self.blocks, self.head]

    def _rows(self, rows: slice | Tensor) -> TimeTables:
        own = rows if isinstance(rows, slice) else rows.to(self.times.device)
        return TimeTables(self.times[own], tuple(table[:, rows] for table in self.blocks), self.head[:, rows])


@dataclass(frozen=True)
class Prepared:
    """lr_share: the LR's part of the embedding and the positions, None without a stem, of one band of rows where ranks share
    a picture; grid: token rows and columns of the whole; cross: per block, None without guidance; tables: None if no times
    were given."""

    lr_share: TokenBuffer | None
    grid: tuple[int, int] | None
    cross: tuple[CrossTokens | None, ...]
    tables: TimeTables | None

    def tensors(self) -> list[Tensor]:
        """What is known of the picture and its guidance, without the times."""
        share = [] if self.lr_share is None else [self.lr_share.values]
        cross = [t for own in self.cross if own is not None for t in (own.keys, own.values, own.mask, own.alive)]
        return share + [tensor for tensor in cross if tensor is not None]
