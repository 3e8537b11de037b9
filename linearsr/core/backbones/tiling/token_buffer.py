"""The tokens of a picture between two stages, in one piece of memory that is read and written tile by tile."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from linearsr.core.backbones.tiling.geometry import Area
from linearsr.core.errors import ShapeError


class TokenBuffer:
    """values [B, rows, columns, D] of `area`, a part of the picture."""

    def __init__(self, values: Tensor, area: Area):
        self.values, self.area = values, area

    @property
    def batch(self) -> int:
        return len(self.values)

    @classmethod
    def empty(cls, area: Area, batch: int, width: int, dtype: torch.dtype, memory: torch.device, pinned: bool) -> TokenBuffer:
        """memory: where it lies; pinned: so that what is as wide as the picture goes to a GPU without a copy in between."""
        return cls(torch.empty(batch, *area.grid, width, dtype=dtype, device=memory, pin_memory=pinned), area)

    @classmethod
    def of(cls, tokens: Tensor, area: Area) -> TokenBuffer:
        """tokens [B, N, D], row by row; nothing is copied."""
        return cls(tokens.unflatten(1, area.grid), area)

    @classmethod
    def collect(cls, pieces: Iterable[tuple[Area, Tensor]], area: Area, memory: torch.device, pinned: bool) -> TokenBuffer:
        """From the tokens [B, n, D] of tiles that make up `area`, in the type of the first."""
        buffer: TokenBuffer | None = None
        for tile, tokens in pieces:
            if buffer is None:
                buffer = cls.empty(area, tokens.shape[0], tokens.shape[2], tokens.dtype, memory, pinned)
            buffer.write(tile, tokens)
        assert buffer is not None
        return buffer

    def read(self, area: Area, device: torch.device) -> Tensor:
        """[B, n, D] on the device; a view where that is possible. Raises ShapeError for an area that it does not hold."""
        return self._view(area).flatten(1, 2).to(device)

    def write(self, area: Area, tokens: Tensor) -> None:
        """tokens [B, n, D], from any device."""
        self._view(area).copy_(tokens.unflatten(1, area.grid))

    def _view(self, area: Area) -> Tensor:
        if not self.area.holds(area):
            raise ShapeError(
                f"tokens of {area} were asked of {self.area}; what was prepared under sharded_over serves there alone"
            )
        inside = area.seen_from(self.area)
        return self.values[:, inside.top : inside.bottom, inside.left : inside.right]
