"""Rectangles of a picture, and how a picture is cut into them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor

from linearsr.core.errors import ConfigError
from linearsr.core.structures import Grid, Margin


@dataclass(frozen=True)
class Area:
    """Rows top … bottom−1 and columns left … right−1 of a picture: of its tokens or of its pixels."""

    top: int
    bottom: int
    left: int
    right: int

    @classmethod
    def whole(cls, grid: Grid) -> Area:
        return cls(0, grid[0], 0, grid[1])

    @property
    def grid(self) -> Grid:
        """Its height and width."""
        return self.bottom - self.top, self.right - self.left

    def grown(self, by: int, within: Area) -> Area:
        """With `by` more rows and columns on each side, as far as there are any."""
        return Area(
            max(self.top - by, within.top),
            min(self.bottom + by, within.bottom),
            max(self.left - by, within.left),
            min(self.right + by, within.right),
        )

    def margin(self, inner: Area) -> Margin:
        """What this area has beyond the inner one."""
        return inner.top - self.top, self.bottom - inner.bottom, inner.left - self.left, self.right - inner.right

    def holds(self, inner: Area) -> bool:
        return min(self.margin(inner)) >= 0

    def times(self, factor: int) -> Area:
        """The same place in a picture with `factor` times the rows and columns."""
        return Area(self.top * factor, self.bottom * factor, self.left * factor, self.right * factor)

    def seen_from(self, outer: Area) -> Area:
        """Its place in a tensor that holds `outer`."""
        return Area(self.top - outer.top, self.bottom - outer.top, self.left - outer.left, self.right - outer.left)

    def cut(self, picture: Tensor) -> Tensor:
        """picture [..., H, W] -> a view [..., h, w]."""
        return picture[..., self.top : self.bottom, self.left : self.right]

    def cut_tokens(self, tokens: Tensor, outer: Area) -> Tensor:
        """tokens [B, N, D] of `outer` -> [B, n, D]: those of this area."""
        if outer == self:
            return tokens
        inside = self.seen_from(outer)
        return tokens.unflatten(1, outer.grid)[:, inside.top : inside.bottom, inside.left : inside.right].flatten(1, 2)

    def split(self, shape: Grid) -> tuple[Area, ...]:
        """Into tiles of at most that shape, row by row and about equally large, so that none is a sliver."""
        rows = spans(self.top, self.bottom, -(-self.grid[0] // shape[0]))
        columns = spans(self.left, self.right, -(-self.grid[1] // shape[1]))
        return tuple(Area(*row, *column) for row in rows for column in columns)


def spans(start: int, stop: int, parts: int) -> list[tuple[int, int]]:
    """start … stop−1 in that many parts, the first ones longer by one where it does not divide."""
    each, longer = divmod(stop - start, parts)
    edges = [start + part * each + min(part, longer) for part in range(parts + 1)]
    return list(pairwise(edges))


def tile_shape(tile: int | Sequence[int] | None) -> Grid | None:
    """`tile` of a config as (rows, columns) of tokens. Raises ConfigError."""
    if tile is None:
        return None
    sides = tuple(tile) if isinstance(tile, Sequence) else (tile, tile)
    if len(sides) != 2 or not all(type(side) is int and side >= 1 for side in sides):
        raise ConfigError(f"tile={tile!r}; wanted tokens per side ≥ 1, or (rows, columns) of them, or None: set denoiser.tile")
    return sides[0], sides[1]
