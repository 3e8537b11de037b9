"""Laws that hold only where the class declares them: order of the tokens, and sums over tiles."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

import torch
from torch import Tensor, nn

from linearsr.attention.conformance.subject import Subject, require_declared
from linearsr.core.conformance import ConformanceReport, close
from linearsr.core.randomness import generator
from linearsr.core.trial import EXACT


def hold_declarations(report: ConformanceReport, subject: Subject) -> None:
    attention = subject.module()
    report.hold("declared permutation_equivariant: moved tokens give moved outputs", lambda: _permuted(attention, subject))
    report.hold("declared additive: the sum of the tiles' states serves every tile", lambda: _tiled(attention, subject))
    report.hold("declared additive: torch's module.apply(function) still works", lambda: _torch_apply(attention))


def _permuted(attention: Any, subject: Subject) -> str:
    require_declared(attention, "permutation_equivariant")
    grid = (6, 5)
    x = subject.tokens(grid)
    order = torch.randperm(x.shape[1], generator=generator(2)).to(x.device)
    with torch.no_grad():
        out = attention(x, grid)
        moved = close("moved", attention(x[:, order], grid), out[:, order], EXACT)
        return f"{moved}; {close('turned grid', attention(x, grid[::-1]), out, EXACT)}"


def _tiled(attention: Any, subject: Subject) -> str:
    require_declared(attention, "additive")
    halo = getattr(attention, "halo", None)
    if not isinstance(halo, int) or isinstance(halo, bool) or halo < 0:
        raise AssertionError(f"halo is {halo!r}; wanted a whole number of tokens, 0 where a tile needs nothing around it")
    grid = (6 + 2 * halo, 5 + 2 * halo)  # so that no tile's margin reaches over the whole picture
    picture = subject.tokens(grid).unflatten(1, grid)
    with torch.no_grad():
        whole = attention(picture.flatten(1, 2), grid).unflatten(1, grid)
        return ", ".join(
            close(f"{len(rows) * len(columns)} tiles", _by_tiles(attention, picture, rows, columns, halo), whole, EXACT)
            for rows, columns in (
                ((1, 3, grid[0] - 4), (grid[1],)),
                ((grid[0],), (grid[1] - 1, 1)),
                ((2, grid[0] - 2), (3, grid[1] - 3)),
            )
        )


def _by_tiles(attention: Any, picture: Tensor, rows: Sequence[int], columns: Sequence[int], halo: int) -> Tensor:
    """picture [B, H, W, C], cut into rows × columns of these heights and widths. Returns the outputs, put together.

    A tile comes with a margin of `halo` tokens where the picture goes on; `state` is told of it, and not to count it.
    """
    height, width = picture.shape[1:3]
    spans = [(*r, *c) for r in pairwise(accumulate(rows, initial=0)) for c in pairwise(accumulate(columns, initial=0))]
    tiles, states = [], []
    for top, bottom, left, right in spans:
        margin = (min(halo, top), min(halo, height - bottom), min(halo, left), min(halo, width - right))
        around = picture[:, top - margin[0] : bottom + margin[1], left - margin[2] : right + margin[3]]
        tile, size = around.flatten(1, 2), (around.shape[1], around.shape[2])
        states.append(attention.state(tile, size, margin) if halo else attention.state(tile, size))
        tiles.append((tile, size, margin))
    *rest, last = states
    total = sum(reversed(rest), start=last)  # in another order than the tiles'
    joined = torch.full_like(picture, float("nan"))
    for (top, bottom, left, right), (tile, size, margin) in zip(spans, tiles, strict=True):
        out = attention.apply(tile, total, size).unflatten(1, size)
        joined[:, top:bottom, left:right] = out[:, margin[0] : size[0] - margin[1], margin[2] : size[1] - margin[3]]
    return joined


def _torch_apply(attention: Any) -> None:
    """A method of that name hides torch's own, by which a whole model is initialised, converted and sharded."""
    require_declared(attention, "additive")
    seen: list[nn.Module] = []
    attention.apply(seen.append)
    if attention not in seen:
        raise AssertionError("apply(function) does not call the function; hand what is no Tensor on to super().apply")
