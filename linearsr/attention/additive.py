"""Attention in which all that a token learns of the others is a sum over them, so that a picture may come in tiles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self, overload

from torch import Tensor, nn

from linearsr.attention.multi_head import MultiHeadAttention
from linearsr.core.errors import ShapeError
from linearsr.core.structures import Margin

NO_MARGIN: Margin = (0, 0, 0, 0)


class AdditiveAttention(MultiHeadAttention):
    """Base: a subclass says how keys and values become a state in `summarise`, and how queries read it in `read`.

        state = attention.state(tile_1, grid_1) + attention.state(tile_2, grid_2)
        out_1 = attention.apply(tile_1, state, grid_1)

    halo: tokens beyond a tile's edge that its outputs look at besides the state (a convolution's reach). The tile is then
    handed over with that margin, where the picture goes on; the margin is not summed, and its outputs are to be cut off.
    """

    additive = True
    halo = 0

    def summarise(self, k: Tensor, v: Tensor) -> Any:
        """k, v [B, H, N, D]. Returns a state: of disjoint tokens they add with +."""
        raise NotImplementedError

    def read(self, q: Tensor, state: Any) -> Tensor:
        """q [B, H, N, D]. Returns [B, H, N, D] in the dtype of q."""
        raise NotImplementedError

    def mix(self, q: Tensor, k: Tensor, v: Tensor, grid: tuple[int, int]) -> Tensor:
        return self.read(q, self.summarise(k, v))

    def state(self, x: Tensor, grid: tuple[int, int], margin: Margin = NO_MARGIN) -> Any:
        """x [B, N, C]: the tokens of one tile, the margin among them. Returns the tile's share of the sum."""
        k, v = self.keys_values(x, grid)
        return self.summarise(without_margin(k, grid, margin), without_margin(v, grid, margin))

    @overload
    def apply(self, x: Tensor, state: Any, grid: tuple[int, int]) -> Tensor: ...
    @overload
    def apply(self, x: Callable[[nn.Module], None]) -> Self: ...
    def apply(
        self, x: Tensor | Callable[[nn.Module], None], state: Any = None, grid: tuple[int, int] | None = None
    ) -> Tensor | Self:
        """x [B, N, C]: the tokens of one tile; state: of the whole picture. Returns [B, N, C].

        The name is also torch's: `module.apply(function)` of a model reaches every part, and so must still work here.
        """
        if not isinstance(x, Tensor):
            return super().apply(x)
        if state is None or grid is None:
            raise ShapeError("apply(x, state, grid) was called without a state or a grid; take the state from state(x, grid)")
        return self.attend(x, state, grid)

    def attend(self, x: Tensor, state: Any, grid: tuple[int, int]) -> Tensor:
        """What `apply` does for tokens."""
        return self.join(self.read(self.queries(x, grid), state))


def without_margin(heads: Tensor, grid: tuple[int, int], margin: Margin) -> Tensor:
    """heads [B, H, N, D] of a tile on `grid` -> [B, H, n, D]: its own tokens."""
    if margin == NO_MARGIN:
        return heads
    top, bottom, left, right = margin
    height, width = grid[0] - top - bottom, grid[1] - left - right
    if min(margin) < 0 or height < 1 or width < 1:
        raise ShapeError(f"a margin of {margin} leaves no token of a tile of {grid}")
    return heads.unflatten(2, grid)[:, :, top : top + height, left : left + width].flatten(2, 3)
