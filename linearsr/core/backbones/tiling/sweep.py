"""A denoiser over tiles, layer by layer, so that the result is that of the whole picture up to rounding.

Of a picture only two activations are whole, x and what attention makes of it; everything wider exists for one tile at a time.
In each block every tile is read twice:

    state   = Σ over tiles (and ranks) of attention.state(norm(x_tile))
    mid     = x + gate·attention.apply(norm(x_tile), state), + cross-attention
    x       = mid + gate·feed_forward(norm(mid_tile with its halo))

The last pass over a block's tiles is the first of the next block, where that attention looks at nothing beyond its tile.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor

from linearsr.core.backbones.cross_attention import CrossTokens
from linearsr.core.backbones.tiling.geometry import Area
from linearsr.core.backbones.tiling.plan import Plan
from linearsr.core.backbones.tiling.token_buffer import TokenBuffer

if TYPE_CHECKING:
    from linearsr.core.backbones.block import LinearBlock
    from linearsr.core.backbones.linear_dit import LinearDiT
    from linearsr.core.backbones.prepared import Prepared, TimeTables

Tiles = Iterable[tuple[Area, Tensor]]
"""Tiles with their tokens [B, n, D] on the device, made one by one as they are asked for."""


@dataclass(frozen=True)
class Sweep:
    """model: whose stages are called; plan: in which order."""

    model: LinearDiT
    plan: Plan

    def velocity(self, z_t: Tensor, tables: TimeTables, prepared: Prepared) -> Tensor:
        """z_t [B, C, h, w] -> [B, C, h, w]; arguments as the model's stages take them."""
        blocks = self.model.layers
        size = len(z_t), self.model.width, tables.blocks[0].dtype  # the modulation's type is the one that residuals take
        x = self.plan.buffer(*size, max(block.attention.halo for block in blocks))
        mid = self.plan.buffer(*size, max(block.feed_forward.halo for block in blocks))
        arriving = self._embedded(z_t, prepared)
        for block, modulation, cross in zip(blocks, tables.blocks, prepared.cross, strict=True):
            state = self._summed(block, modulation, arriving, x)
            self._attended(block, modulation, cross, state, x, mid)
            arriving = self._fed(block, modulation, mid)
        del x  # its room is the output's
        return self.plan.ranks.join(self._projected(arriving, tables.head, z_t), self.plan.picture.bottom)

    def _embedded(self, z_t: Tensor, prepared: Prepared) -> Iterator[tuple[Area, Tensor]]:
        for tile in self.plan.tiles:
            latent = tile.times(self.model.patch_size).cut(z_t).to(self.plan.device)
            yield tile, self.model.embed(latent, self.plan.picture.grid, prepared, tile)

    def _summed(self, block: LinearBlock, modulation: Tensor, arriving: Tiles, x: TokenBuffer) -> Any:
        """Stores what arrives in x and returns the state of all tiles and ranks."""
        halo, state = block.attention.halo, None
        for tile, tokens in arriving:
            x.write(tile, tokens)
            if not halo:
                state = _plus(state, block.attention.state(block.normed(tokens, modulation), tile.grid))
        if halo:
            self.plan.ranks.exchange_edges(x, self.plan.band, self.plan.device)
            for tile in self.plan.tiles:
                around = self.plan.around(tile, halo)
                tokens = block.normed(x.read(around, self.plan.device), modulation)
                state = _plus(state, block.attention.state(tokens, around.grid, around.margin(tile)))
        return self.plan.ranks.total(state, self.plan.device)

    def _attended(
        self, block: LinearBlock, modulation: Tensor, cross: CrossTokens | None, state: Any, x: TokenBuffer, mid: TokenBuffer
    ) -> None:
        for tile in self.plan.tiles:
            around = self.plan.around(tile, block.attention.halo)
            tokens = x.read(around, self.plan.device)
            update = block.attention.apply(block.normed(tokens, modulation), state, around.grid)
            own, own_update = tile.cut_tokens(tokens, around), tile.cut_tokens(update, around)
            mid.write(tile, block.attended(own, own_update, modulation, cross))
        self.plan.ranks.exchange_edges(mid, self.plan.band, self.plan.device)

    def _fed(self, block: LinearBlock, modulation: Tensor, mid: TokenBuffer) -> Iterator[tuple[Area, Tensor]]:
        for tile in self.plan.tiles:
            around = self.plan.around(tile, block.feed_forward.halo)
            tokens = mid.read(around, self.plan.device)
            yield tile, tile.cut_tokens(block.fed(tokens, around.grid, modulation), around)

    def _projected(self, arriving: Tiles, modulation: Tensor, z_t: Tensor) -> Tensor:
        """[B, C, h, w] of this rank's band, where z_t lies."""
        band = self.plan.band.times(self.model.patch_size)
        velocity: Tensor | None = None
        for tile, tokens in arriving:
            out = self.model.project(tokens, tile.grid, modulation)
            if velocity is None:
                velocity = out.new_empty(*z_t.shape[:2], *band.grid, device=z_t.device)
            tile.times(self.model.patch_size).seen_from(band).cut(velocity).copy_(out)
        assert velocity is not None
        return velocity


def _plus(state: Any, more: Any) -> Any:
    return more if state is None else state + more
