"""One picture over several processes: each holds a band of rows, and what they must know of each other is exchanged."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from linearsr.core.backbones.tiling.geometry import Area, Grid, spans
from linearsr.core.backbones.tiling.token_buffer import TokenBuffer
from linearsr.core.errors import ConfigError, ShapeError


@dataclass(frozen=True)
class Ranks:
    """rank: of this process among `size`, in `group`."""

    rank: int = 0
    size: int = 1
    group: Any = None

    def require_agreement(self, device: torch.device, **asked: Any) -> None:
        """Raises ShapeError on every rank where any was asked for something else: they would wait for each other in vain."""
        if self.size == 1:
            return
        everyone = self._gather(asked, device)
        if any(other != everyone[0] for other in everyone):
            told = "; ".join(f"rank {rank}: {_listed(other)}" for rank, other in enumerate(everyone))
            raise ShapeError(f"ranks that compute a picture together must be asked for the same one; they have {told}")

    def band(self, grid: Grid, halo: int) -> Area:
        """This rank's rows. Raises ShapeError for fewer rows than ranks, or bands too low to be their neighbour's margin."""
        fewest = grid[0] // self.size
        if self.size > 1 and fewest < max(halo, 1):
            raise ShapeError(
                f"{self.size} ranks share {grid[0]} rows of tokens; each needs at least {max(halo, 1)}: "
                f"restore this picture on at most {max(grid[0] // max(halo, 1), 1)} ranks"
            )
        top, bottom = spans(0, grid[0], self.size)[self.rank]
        return Area(top, bottom, 0, grid[1])

    def total(self, state: Any, device: torch.device) -> Any:
        """The sum of all ranks' states by their own `+`, in rank order, so that every rank has the same bit for bit."""
        if self.size == 1:
            return state
        parcel = io.BytesIO()
        torch.save(state, parcel)
        parcels = self._gather(parcel.getvalue(), device)
        states = [torch.load(io.BytesIO(each), map_location=device, weights_only=False) for each in parcels]
        return reduce(add, states)

    def _gather(self, own: Any, device: torch.device) -> list[Any]:
        """Every rank's own, in rank order."""
        everyone: list[Any] = [None] * self.size
        with device if device.type == "cuda" else nullcontext():  # nccl sends from the device that is current
            dist.all_gather_object(everyone, own, group=self.group)
        return everyone

    def exchange_edges(self, buffer: TokenBuffer, band: Area, device: torch.device) -> None:
        """Fills the rows that `buffer` holds beyond the band from the ranks above and below."""
        if self.size == 1:
            return
        above, below, *_ = buffer.area.margin(band)
        neighbours = [
            (self.rank - 1, above, band.top, band.top - above),
            (self.rank + 1, below, band.bottom - below, band.bottom),
        ]
        wire, transfers, arriving = self._wire(device), [], []
        for rank, rows, own, theirs in neighbours:
            if rows:
                edge = buffer.read(Area(own, own + rows, band.left, band.right), wire).contiguous()
                missing = torch.empty_like(edge)
                transfers.append(dist.P2POp(dist.isend, edge, self._peer(rank), self.group))
                transfers.append(dist.P2POp(dist.irecv, missing, self._peer(rank), self.group))
                arriving.append((Area(theirs, theirs + rows, band.left, band.right), missing))
        for work in dist.batch_isend_irecv(transfers) if transfers else ():
            work.wait()
        for area, edge in arriving:
            buffer.write(area, edge)

    def join(self, own: Tensor, rows: int) -> Tensor:
        """own [B, C, h, w], this rank's band of `rows` rows of tokens -> [B, C, H, w]."""
        if self.size == 1:
            return own
        heights = [bottom - top for top, bottom in spans(0, rows, self.size)]
        pixels = own.shape[2] // heights[self.rank]
        mine, bands = own.to(self._wire(own.device)).contiguous(), []
        for rank, height in enumerate(heights):
            band = mine if rank == self.rank else mine.new_empty(*mine.shape[:2], height * pixels, mine.shape[3])
            dist.broadcast(band, self._peer(rank), self.group)
            bands.append(band)
        return torch.cat(bands, 2).to(own.device)

    def _peer(self, rank: int) -> int:
        return dist.get_global_rank(self.group, rank)

    def _wire(self, device: torch.device) -> torch.device:
        """gloo carries what lies in host memory, nccl what lies on a GPU."""
        return torch.device("cpu") if dist.get_backend(self.group) == "gloo" else device


ALONE = Ranks()
_in_force = [ALONE]
"""The last of them. A process has one: its threads cannot take part in different groups at once (torch.compile reads lists,
but no ContextVar)."""


@contextmanager
def sharded_over(group: dist.ProcessGroup | None = None) -> Iterator[None]:
    """`with sharded_over(): sr = model.restore(lr)` on every rank, with the same picture: they compute it together.

    group: of torch.distributed, by default all ranks. Every rank gets the whole result.
    Raises ConfigError without a process group or on a rank outside it; a denoiser raises it where gradients are wanted.
    """
    if not dist.is_initialized():
        raise ConfigError("sharded_over needs ranks; start with torchrun and call torch.distributed.init_process_group")
    group = group or dist.group.WORLD
    rank = dist.get_rank(group)
    if rank < 0:
        raise ConfigError(f"rank {dist.get_rank()} is not in the group of sharded_over; call it on the group's ranks alone")
    _in_force.append(Ranks(rank, dist.get_world_size(group), group))
    try:
        yield
    finally:
        _in_force.pop()


def ranks_in_force() -> Ranks:
    return _in_force[-1]


def _listed(asked: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in asked.items())
