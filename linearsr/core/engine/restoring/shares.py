"""Which pictures go together, and which rank has them."""

from __future__ import annotations

from collections.abc import Sequence

Size = tuple[int, int]
Batch = list[int]
"""Indices of pictures."""


def batches_of(sizes: Sequence[Size | None], most: int) -> list[Batch]:
    """Pictures of one size together, at most `most` in a batch, each picture in one batch; in the order of their first.

    None, a size that is not known, is alone.
    """
    full: list[Batch] = []
    open_batches: dict[Size, Batch] = {}
    for index, size in enumerate(sizes):
        batch = [] if size is None else open_batches.get(size, [])
        if not batch:
            full.append(batch)
        batch.append(index)
        if size is not None:
            open_batches[size] = batch if len(batch) < most else []
    return full


def deal(batches: Sequence[Batch], sizes: Sequence[Size | None], ranks: int) -> list[list[Batch]]:
    """The batches of each rank, in their order; each batch has one rank.

    The most pixels first, each to the rank that has the fewest yet: no rank has more than the least busy one by more than one
    batch (Graham's longest processing time first).
    """
    work = [sum(_pixels(sizes[index]) for index in batch) for batch in batches]
    loads = [0] * ranks
    chosen: list[list[int]] = [[] for _ in range(ranks)]
    for place in sorted(range(len(batches)), key=lambda place: -work[place]):
        rank = loads.index(min(loads))
        loads[rank] += work[place]
        chosen[rank].append(place)
    return [[batches[place] for place in sorted(own)] for own in chosen]


def _pixels(size: Size | None) -> int:
    """At least one, so that unreadable pictures are dealt out too."""
    return 1 if size is None else size[0] * size[1]
