"""Large pictures in tiles: exactly, where each output looks at a bounded neighbourhood, or with blended overlaps elsewhere.

A transform takes [B, C, h, w] to [B, C', scale·h, scale·w]: an encoder has a scale of 1/factor, a decoder of factor. Memory is
that of input, output and one tile. Tiles of the size of the picture or more are the transform itself.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

Transform = Callable[[Tensor], Tensor]


class Span(NamedTuple):
    """Along one side, in input pixels: the tile [start, stop), read with its margins as [first, last)."""

    first: int
    start: int
    stop: int
    last: int


def exact_spans(side: int, tile: int, halo: int) -> list[Span]:
    """Tiles side by side, the last one shorter, each read with `halo` more on both sides, where the picture has them."""
    starts = range(0, side, tile)
    return [Span(max(s - halo, 0), s, min(s + tile, side), min(s + tile + halo, side)) for s in starts]


def overlapping_starts(side: int, tile: int, overlap: int, step: int) -> list[int]:
    """Where tiles of one size start: multiples of `step`, spread evenly, the last ends at `side`; neighbours share `overlap`
    or more. side, tile and overlap are multiples of `step`, overlap < tile."""
    if tile >= side:
        return [0]
    count = -(-(side - overlap) // (tile - overlap))
    room = (side - tile) // step
    return [step * (i * room // (count - 1)) for i in range(count)]


def exact_tiles(transform: Transform, x: Tensor, *, tile: int, halo: int, scale: Fraction) -> Tensor:
    """`transform(x)`, tile by tile, up to rounding.

    tile: side without its halo; halo: how far beyond its own input an output looks, or more. Both in input pixels and
    multiples of 1/scale where that is more than 1, so that strided layers meet the same pixels.
    """
    if tile >= max(x.shape[-2:]):
        return transform(x)
    whole: Tensor | None = None
    for down, right in product(*(exact_spans(side, tile, halo) for side in x.shape[-2:])):
        part = transform(x[..., down.first : down.last, right.first : right.last])
        if whole is None:
            whole = _empty(part, x, scale, part.dtype)
        rows, columns = (_scaled(span.start, span.stop, scale) for span in (down, right))
        own_rows, own_columns = (_scaled(span.start - span.first, span.stop - span.first, scale) for span in (down, right))
        whole[..., rows, columns] = part[..., own_rows, own_columns]
    assert whole is not None
    return whole


def blended_tiles(transform: Transform, x: Tensor, *, tile: int, overlap: int, scale: Fraction) -> Tensor:
    """Tiles that share `overlap` input pixels or more with their neighbours, averaged by weights that sum to 1.

    Along each side a tile's weight rises linearly over the overlap and falls again at its end, and is divided by the sum of
    all: our choice; it has no jump where a tile ends. tile, overlap: multiples of 1/scale where that is more than 1.
    """
    if tile >= max(x.shape[-2:]):
        return transform(x)
    step = max(int(1 / scale), 1)
    total: Tensor | None = None
    sides = [(overlapping_starts(side, tile, overlap, step), min(tile, side)) for side in x.shape[-2:]]
    weights = [
        blending_weights([int(s * scale) for s in starts], int(length * scale), int(overlap * scale), int(side * scale))
        for (starts, length), side in zip(sides, x.shape[-2:], strict=True)
    ]
    (tops, height), (lefts, width) = sides
    for (i, top), (j, left) in product(enumerate(tops), enumerate(lefts)):
        part = transform(x[..., top : top + height, left : left + width])
        if total is None:
            total = _empty(part, x, scale, torch.promote_types(part.dtype, torch.float32)).zero_()
        weight = (weights[0][i][:, None] * weights[1][j]).to(total)
        rows, columns = _scaled(top, top + height, scale), _scaled(left, left + width, scale)
        total[..., rows, columns] += part * weight
    assert total is not None
    return total.to(part.dtype)


def blending_weights(starts: list[int], length: int, overlap: int, side: int) -> Tensor:
    """Weights of tiles along one side, in output pixels -> float64 [tiles, length]; at each of `side` places they sum to 1."""
    distance = torch.arange(length, dtype=torch.float64) + 0.5
    ramp = (torch.minimum(distance, length - distance) / max(overlap, 1)).clamp(max=1)
    total = torch.zeros(side, dtype=torch.float64)
    for start in starts:
        total[start : start + length] += ramp
    return torch.stack([ramp / total[start : start + length] for start in starts])


def _scaled(start: int, stop: int, scale: Fraction) -> slice:
    return slice(int(start * scale), int(stop * scale))


def _empty(part: Tensor, x: Tensor, scale: Fraction, dtype: torch.dtype) -> Tensor:
    """What the tiles of `x` are put into, of which `part` came from one."""
    return part.new_empty(*part.shape[:-2], *(int(side * scale) for side in x.shape[-2:]), dtype=dtype)
