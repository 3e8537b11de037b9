"""Into which tiles a picture is cut so that restoring it fits into memory: the largest ones that do."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from linearsr.core.errors import ConfigError
from linearsr.core.planning.ledger import Ledger
from linearsr.core.planning.rehearsal import DECODE
from linearsr.core.structures import Grid

SMALLEST = 16
"""Tokens, or latent pixels, per side of a tile: of smaller ones what lies around them is most of the work."""

Side = int | Grid | None
"""Of a tile: one number for both sides, (rows, columns), or None for a picture that is worked on whole."""


@dataclass(frozen=True)
class Tiles:
    """denoiser: in tokens; autoencoder: in picture pixels. As `denoiser.tile` and `autoencoder.tile` of a config."""

    denoiser: Side = None
    autoencoder: Side = None

    @classmethod
    def of(cls, model: Any) -> Tiles:
        """That are set; None for a part that knows no tiles."""
        return cls(getattr(model.denoiser, "tile", None), getattr(model.autoencoder, "tile", None))

    def put_on(self, model: Any) -> None:
        for part, side in ((model.denoiser, self.denoiser), (model.autoencoder, self.autoencoder)):
            if hasattr(part, "tile"):
                part.tile = side

    def __str__(self) -> str:
        return f"the denoiser {told(self.denoiser, 'tokens')}, decoding {told(self.autoencoder, 'pixels')}"


@dataclass(frozen=True)
class Need:
    """Bytes at the peak besides weights and LR pictures: of the denoiser, of decoding, and of everything, them too."""

    denoising: int
    decoding: int
    total: int

    @classmethod
    def of(cls, ledger: Ledger) -> Need:
        """ledger: of a rehearsed `restore`."""
        denoising = max(peak for phase, peak in ledger.peaks.items() if phase != DECODE)
        return cls(denoising, ledger.peaks[DECODE], ledger.memory.peak)


class Needs:
    """What is known of restoring pictures that are alike but for their size (rows and columns of the LR)."""

    def __init__(self) -> None:
        self._known: defaultdict[Grid, dict[Tiles, Need]] = defaultdict(dict)

    def of(self, size: Grid, tiles: Tiles, find: Callable[[], Need]) -> Need:
        """find: is asked once."""
        known = self._known[size]
        if tiles not in known:
            known[tiles] = find()
        return known[tiles]

    def surely_within(self, room: float, size: Grid, tiles: Tiles) -> bool:
        """Whether a picture that is nowhere smaller is known to need no more."""
        larger = [known for side, known in self._known.items() if side[0] >= size[0] and side[1] >= size[1]]
        return any(known[tiles].total <= room for known in larger if tiles in known)


@dataclass(frozen=True)
class Choice:
    """What can be tried, the largest first, beginning with what is set. refusal: why the denoiser is not cut, or ""."""

    denoiser: Sequence[Side]
    autoencoder: Sequence[Side]
    refusal: str = ""

    @classmethod
    def of(cls, model: Any, lr_size: Grid) -> Choice:
        """Powers of two. model: with `lr_multiple`, LR pixels per token and side; its parts are left as they were."""
        tiles, unit = Tiles.of(model), model.autoencoder.factor
        rows, columns = (-(-side // model.lr_multiple) for side in lr_size)
        latent = max(rows, columns) * model.lr_multiple * model.upscale // unit
        refusal = _refusal(model.denoiser)
        cut = [] if refusal else _powers_below(min(rows * columns, area(tiles.denoiser)))
        decoded = hasattr(model.autoencoder, "tile")
        pieces = _powers_below(min(latent**2, area(tiles.autoencoder) / unit**2)) if decoded else []
        return cls((tiles.denoiser, *cut), (tiles.autoencoder, *(side * unit for side in pieces)), refusal)

    def no_larger_than(self, cap: Tiles) -> Choice:
        """The smallest of each stays in any case."""
        return Choice(_at_most(self.denoiser, cap.denoiser), _at_most(self.autoencoder, cap.autoencoder), self.refusal)

    def largest(self, need: Callable[[Tiles], Need], room: float) -> Tiles:
        """The largest tiles of each that need no more bytes than that, or the smallest, if none does."""
        cut = (side for side in self.denoiser if need(Tiles(side, self.autoencoder[0])).denoising <= room)
        pieces = (side for side in self.autoencoder if need(Tiles(self.denoiser[0], side)).decoding <= room)
        return Tiles(next(cut, self.denoiser[-1]), next(pieces, self.autoencoder[-1]))


def area(side: Side) -> float:
    """Of a tile; the whole picture is larger than any."""
    if side is None:
        return math.inf
    return side**2 if isinstance(side, int) else side[0] * side[1]


def told(side: Side, unit: str) -> str:
    if side is None:
        return "whole"
    rows, columns = (side, side) if isinstance(side, int) else side
    return f"in tiles of {rows if rows == columns else f'{rows}×{columns}'} {unit}"


def _powers_below(tokens: float) -> list[int]:
    """Sides of squares of fewer tokens."""
    powers = (2**power for power in range(SMALLEST.bit_length() - 1, 64))
    found = []
    for side in powers:
        if side**2 >= tokens:
            break
        found.append(side)
    return found[::-1]


def _at_most(sides: Sequence[Side], cap: Side) -> Sequence[Side]:
    return [side for side in sides if area(side) <= area(cap)] or sides[-1:]


def _refusal(denoiser: Any) -> str:
    """Tried: what can be cut is the denoiser's own affair."""
    if not hasattr(denoiser, "tile"):
        return f"{type(denoiser).__name__} has no `tile`, so it is not cut"
    before = denoiser.tile
    try:
        denoiser.tile = SMALLEST
    except ConfigError as error:
        return str(error)
    denoiser.tile = before
    return ""
