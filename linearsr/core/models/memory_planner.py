"""Before a picture is restored: what that takes, what there is, and into which tiles it must be cut."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

from linearsr.core.backbones.tiling.ranks import ALONE, ranks_in_force
from linearsr.core.errors import ConfigError, ShapeError
from linearsr.core.models.planned_tiles import PlannedTiles, Unplanned
from linearsr.core.planning import Rehearsal
from linearsr.core.planning.free_memory import free_bytes
from linearsr.core.planning.stand_ins import TokensOfSize
from linearsr.core.planning.tiles import Choice, Need, Needs, Tiles, area
from linearsr.core.planning.weights import shadow_copy, weight_bytes
from linearsr.core.structures import Grid, GuidanceTokens
from linearsr.core.values import require_positive

GIB = 2**30
DEVICE = "device"
BITS = 5
"""Of a side that is planned for."""
SAFE = 0.85
"""Of what there is besides weights and pictures: predictions are held within 15 % of what is measured."""

RehearsalOf = Callable[[Any, Tensor, Grid, int, GuidanceTokens | None], Callable[[Tiles], Need]]
"""(model, lr, its rounded size, num_steps, guidance) -> (tiles -> what restoring takes in them)."""


class MemoryPlanner:
    """Chooses the tiles of each `restore`: whole if that fits, else the largest that do.

    gib: what restoring may take, weights and pictures included, in GiB; "device": what the device has free at that time.
    15 % of what weights and pictures leave of it is kept for what cannot be foreseen.
    What it takes is rehearsed once for each size, sides rounded up by a sixteenth at most. Tiles in which memory ran out are
    not planned again for pictures as large.
    rehearsal: what restoring takes, given instead of being rehearsed, as in tests; `rehearsal_of` by default.
    Raises ConfigError for another value.
    """

    def __init__(self, gib: float | str, rehearsal: RehearsalOf | None = None):
        self.limit = memory_limit(gib)
        self._rehearsal = rehearsal or rehearsal_of
        self._needs: defaultdict[Any, Needs] = defaultdict(Needs)
        self._caps: list[tuple[int, Tiles]] = []
        """Values of a batch for which memory ran out, and the tiles in which it then did not."""
        self._unloading_helps = True

    def begin(self, model: Any, lr: Tensor, num_steps: int, guidance: GuidanceTokens | None) -> PlannedTiles:
        """To be restored `with` it; see `tiles`."""
        tiles, size, values = self.tiles(model, lr, num_steps, guidance), (lr.shape[-2], lr.shape[-1]), lr.numel()
        return PlannedTiles(model, tiles, size, lambda smaller: self._caps.append((values, smaller)))

    def tiles(self, model: Any, lr: Tensor, num_steps: int, guidance: GuidanceTokens | None) -> Tiles:
        """lr [B, 3, h, w]. Raises ShapeError for pictures that do not fit in the smallest tiles either, and ConfigError for
        several ranks, which would have to agree."""
        if ranks_in_force() is not ALONE:
            raise ConfigError("model.memory_gib plans for one process; under sharded_over set it to None, and denoiser.tile")
        height, width = lr.shape[-2:]
        size, held = (rounded(height), rounded(width)), weight_bytes(model) + lr.nbytes
        limit = self._limit(model, lr)
        room = SAFE * (limit - held)
        known = self._needs[_kind(model, lr, num_steps, guidance)]
        rehearse = self._rehearsal(model, lr, size, num_steps, guidance)

        def need(tiles: Tiles) -> Need:
            return known.of(size, tiles, lambda: rehearse(tiles))

        tiles, cap = Tiles.of(model), self._cap(lr.numel())
        if cap != Tiles() or not known.surely_within(room, size, tiles):
            choice = Choice.of(model, size).no_larger_than(cap)
            if self.limit is None and self._unloading_helps and need(tiles).total > room and _unloaded(model.guidance):
                before, limit = limit, self._limit(model, lr)
                self._unloading_helps = limit > before  # not where they are on another device
                room = SAFE * (limit - held)
            tiles = choice.largest(need, room)
            if need(tiles).total > room:
                as_set, least = (held + need(each).total / SAFE for each in (Tiles.of(model), tiles))
                raise ShapeError(_too_large(lr, limit, as_set, least, choice))
        return tiles

    def _limit(self, model: Any, lr: Tensor) -> float:
        return self.limit or free_bytes(lr.device) + weight_bytes(model, lr.device) + lr.nbytes

    def _cap(self, values: int) -> Tiles:
        """The smallest tiles that so large a batch has come to."""
        caps = [tiles for least, tiles in self._caps if values >= least]
        denoiser = min((tiles.denoiser for tiles in caps), key=area, default=None)
        return Tiles(denoiser, min((tiles.autoencoder for tiles in caps), key=area, default=None))


def _unloaded(guidance: Any) -> bool:
    """Gives back what taggers and text encoders hold, which have done their work; they load themselves again."""
    unload = getattr(guidance, "unload", None)
    if unload is not None:
        unload()
    return unload is not None


def memory_limit(gib: float | str) -> float | None:
    """Bytes; None: what the device has. Raises ConfigError for what is neither."""
    return None if gib == DEVICE else GIB * require_positive(gib, "model.memory_gib")


def rounded(side: int) -> int:
    """Up to BITS bits, so that pictures of like sizes have one plan; at most 1/16 more."""
    step = 2 ** max(side.bit_length() - BITS, 0)
    return -(-side // step) * step


def _kind(model: Any, lr: Tensor, num_steps: int, guidance: GuidanceTokens | None) -> Any:
    """All that memory depends on besides the size and the tiles."""
    weights = next(model.parameters()).dtype
    words = None if guidance is None else guidance.tokens.shape[1:]
    return len(lr), lr.dtype, lr.device.type, weights, _autocast(lr.device), num_steps, words


def rehearsal_of(
    model: Any, lr: Tensor, size: Grid, num_steps: int, guidance: GuidanceTokens | None
) -> Callable[[Tiles], Need]:
    """Tiles -> what a copy of the model that is made of shapes needs in them; copied when first asked.

    size: rows and columns of the pictures, which are otherwise like `lr`.
    """
    (height, width), batch = size, len(lr)

    @cache
    def rehearsal() -> Rehearsal:
        guide = [] if guidance is None else [(model.guidance, TokensOfSize(guidance.width, guidance.tokens.shape[1]))]
        return Rehearsal(shadow_copy(model, [(model.memory, Unplanned()), *guide]), in_strips=lr.device.type == "cpu")

    def need(tiles: Tiles) -> Need:
        with torch.inference_mode(False):
            tiles.put_on(rehearsal().model)
            return Need.of(rehearsal().restore(height, width, num_steps, batch, _autocast(lr.device), lr.dtype))

    return need


def _autocast(device: torch.device) -> torch.dtype | None:
    return torch.get_autocast_dtype(device.type) if torch.is_autocast_enabled(device.type) else None


def _too_large(lr: Tensor, limit: float, as_set: float, least: float, choice: Choice) -> str:
    wanted, smallest, there = (f"{count / GIB:.3g} GiB" for count in (as_set, least, limit))
    return (
        f"LR pictures {list(lr.shape)} do not fit: restoring them takes up to {wanted} as set, {smallest} in the smallest "
        f"tiles, and there are {there}; raise model.memory_gib, or restore fewer or smaller pictures at once"
        + (f". The denoiser is not cut: {choice.refusal}" if choice.refusal else "")
    )
