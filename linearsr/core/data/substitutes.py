"""A draw whose picture cannot be read: another picture takes its place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, TypeVar

from linearsr.core.data.samplers import DrawIndex
from linearsr.core.errors import DataError, UnreadableError
from linearsr.core.randomness import mix_seed, numpy_generator

TRIES: Final = 10
"""Substitutes of one draw. With one picture in a hundred damaged, ten in a row fail once in 10²⁰ draws."""

STREAM: Final = 100
"""Of the draw's seed; transforms have numbers of their own."""

T = TypeVar("T")
Lost = list[tuple[int, str]]
"""Which pictures could not be read, and why."""


def first_readable(read: Callable[[int], T], draw: DrawIndex, length: int) -> tuple[T, Lost]:
    """`read(index)` of the drawn picture or, where that raises UnreadableError, of the first readable substitute.

    Which substitutes are tried depends on the draw's seed and on `length` alone, so workers and ranks agree.
    Raises DataError when none of TRIES can be read.
    """
    lost: Lost = []
    for index in candidates(draw, length):
        try:
            return read(index), lost
        except UnreadableError as error:
            lost.append((index, str(error)))
    raise DataError(
        f"none of {len(lost)} pictures drawn one after the other can be read; the first: {lost[0][1]}; the last: {lost[-1][1]}"
    )


def candidates(draw: DrawIndex, length: int) -> Iterator[int]:
    """The drawn index, then up to TRIES others of `length` in an order of the draw's own."""
    yield int(draw)
    order = numpy_generator(mix_seed(draw.seed, STREAM)).choice(length, min(length, TRIES + 1), replace=False)
    yield from [int(other) for other in order if other != draw][:TRIES]
