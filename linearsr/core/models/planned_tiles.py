"""While a picture is restored its tiles are those of a plan, and smaller ones from where memory runs out all the same."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, Self, TypeVar

from linearsr.core.errors import ShapeError
from linearsr.core.models.out_of_memory import until_it_fits
from linearsr.core.planning.tiles import Choice, Side, Tiles, told
from linearsr.core.structures import Grid

Result = TypeVar("Result")


class Unplanned:
    """Nothing is planned: tiles are what the config says, and what runs out of memory fails."""

    def tiles(self, model: Any, *_: object) -> Tiles:
        """As MemoryPlanner's."""
        return Tiles.of(model)

    def begin(self, *_: object) -> Self:
        """As MemoryPlanner's."""
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        return None

    def denoise(self, work: Callable[..., Result], *given: Any, **named: Any) -> Result:
        return work(*given, **named)

    decode = denoise


class PlannedTiles:
    """`with` it the model has the planned tiles, afterwards its own again, however the work ends.

    `denoise(work, …)` and `decode(work, …)` are `work(…)`, which must change nothing: where memory runs out it is done again
    in smaller tiles, which last. lr_size: rows and columns; remember: is told of smaller tiles. Both raise ShapeError where
    there are none.
    """

    def __init__(self, model: Any, tiles: Tiles, lr_size: Grid, remember: Callable[[Tiles], None]):
        self.tiles = tiles
        self._model, self._lr_size, self._remember, self._before = model, lr_size, remember, Tiles.of(model)

    def __enter__(self) -> Self:
        self.tiles.put_on(self._model)
        return self

    def __exit__(self, *failure: object) -> None:
        self._before.put_on(self._model)

    def denoise(self, work: Callable[..., Result], *given: Any, **named: Any) -> Result:
        return until_it_fits(partial(work, *given, **named), self._cut_denoiser)

    def decode(self, work: Callable[..., Result], *given: Any, **named: Any) -> Result:
        return until_it_fits(partial(work, *given, **named), self._cut_decoding)

    def _cut_denoiser(self, said: str) -> None:
        if self._forgot_recordings():
            return  # their memory may be enough
        choice = Choice.of(self._model, self._lr_size)
        smaller = _second(choice.denoiser, "the denoiser", "tokens", said, choice.refusal)
        self._cut(Tiles(smaller, self.tiles.autoencoder))

    def _cut_decoding(self, said: str) -> None:
        choice = Choice.of(self._model, self._lr_size)
        self._cut(Tiles(self.tiles.denoiser, _second(choice.autoencoder, "decoding", "pixels", said)))

    def _forgot_recordings(self) -> bool:
        """CUDA graphs keep the memory of whole pictures."""
        recorded = [part.recorded for part in self._model.denoiser.modules() if getattr(part, "recorded", None)]
        for recordings in recorded:
            recordings.forget()
        return bool(recorded)

    def _cut(self, tiles: Tiles) -> None:
        tiles.put_on(self._model)
        self.tiles = tiles
        self._remember(tiles)


def _second(sides: Any, who: str, unit: str, said: str, refusal: str = "") -> Side:
    """The tile after the one that is set; says so."""
    if len(sides) == 1:
        why = refusal or "there is no smaller one"
        raise ShapeError(
            f"memory ran out for {who} {told(sides[0], unit)}, and {why}: {said}. Restore fewer or smaller pictures at "
            "once, or on a device with more memory"
        )
    warnings.warn(
        f"memory ran out for {who} {told(sides[0], unit)}; it goes on from there {told(sides[1], unit)}: {said}. A smaller "
        "model.memory_gib would have planned for it",
        stacklevel=2,
    )
    return sides[1]
