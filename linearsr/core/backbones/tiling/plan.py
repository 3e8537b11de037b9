"""Which part of a picture is computed when, by whom, and where the rest of it waits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from linearsr.core.backbones.tiling.geometry import Area, Grid
from linearsr.core.backbones.tiling.ranks import ALONE, Ranks, ranks_in_force
from linearsr.core.backbones.tiling.token_buffer import TokenBuffer
from linearsr.core.errors import ConfigError
from linearsr.core.registries import ATTENTION

HOST = torch.device("cpu")


@dataclass(frozen=True)
class Plan:
    """picture: all of its tokens; band: those of this rank; tiles: the band's, in the order of work; device: of the weights;
    memory: where activations wait, the host where there are tiles."""

    picture: Area
    band: Area
    tiles: tuple[Area, ...]
    ranks: Ranks
    device: torch.device
    memory: torch.device

    @property
    def pinned(self) -> bool:
        return self.device.type == "cuda" and self.memory == HOST

    def around(self, area: Area, halo: int) -> Area:
        return area.grown(halo, self.picture)

    def collect(self, pieces: Iterable[tuple[Area, Tensor]]) -> TokenBuffer:
        """The tokens [B, n, D] of the band's tiles, one by one."""
        return TokenBuffer.collect(pieces, self.band, self.memory, self.pinned)

    def buffer(self, batch: int, width: int, dtype: torch.dtype, halo: int) -> TokenBuffer:
        """For the band and, where the picture goes on, `halo` rows of the bands above and below."""
        return TokenBuffer.empty(self.around(self.band, halo), batch, width, dtype, self.memory, self.pinned)


def plan_of(grid: Grid, tile: Grid | None, blocks: Iterable[Any], device: torch.device) -> Plan | None:
    """None for a picture that is computed whole: with gradients, or of no more tokens than a tile and on one rank.

    Raises ConfigError or ShapeError for what cannot be cut.
    """
    ranks, recording = ranks_in_force(), torch.is_grad_enabled()
    if ranks is ALONE and (recording or tile is None or grid[0] * grid[1] <= tile[0] * tile[1]):
        return None
    if recording:
        raise ConfigError("sharded_over is for pictures to look at, not for training; ask the denoiser under torch.no_grad()")
    ranks.require_agreement(device, tokens=grid, tile=tile)
    halo = max(require_additive(blocks))
    picture, band = Area.whole(grid), ranks.band(grid, halo)
    return Plan(picture, band, band.split(tile or band.grid), ranks, device, HOST if tile else device)


def require_additive(blocks: Iterable[Any]) -> list[int]:
    """How far each part of each block looks, in tokens. Raises ConfigError for blocks that no sum over tiles can serve."""
    halos = []
    for index, block in enumerate(blocks):
        where, whole = f"block {index}: {type(block.attention).__name__}", "set denoiser.tile=None and use one rank"
        if getattr(block.attention, "additive", False) is not True:
            known = [name for name, cls in ATTENTION.own().items() if getattr(cls, "additive", False) is True]
            raise ConfigError(
                f"{where} is not additive: what a token learns of the others is no sum over them, so no picture can come in "
                f"tiles or over ranks. Choose additive attention for every block ({', '.join(known)}), or {whole}. (Attention "
                "within windows would need tiles cut along them and a window's halo where they shift; that is not built.)"
            )
        if hasattr(block.attention, "unshard"):  # torch's mark of weights in pieces, which come together in `forward` alone
            raise ConfigError(f"{where} has its weights in pieces (ShardedModel), which serve whole pictures only; {whole}")
        for part in (block.attention, block.feed_forward):
            halo = getattr(part, "halo", None)
            if not isinstance(halo, int) or halo < 0:
                raise ConfigError(
                    f"block {index}: {type(part).__name__} does not say how far it looks, so a picture cannot come in tiles or "
                    f"over ranks. Give the class `halo`, in tokens, 0 for one that looks at each token alone; or {whole}"
                )
            halos.append(halo)
    return halos
