"""A batch whose pictures belong to several experts, taken apart and put together again."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from linearsr.core.structures import GuidanceTokens

Ask = Callable[[int, Tensor, Tensor, Tensor | None, GuidanceTokens | None], Tensor]
"""ask(expert, z_t [b, …], t [b], lr, guidance) -> [b, …]"""


def by_expert(served: Tensor, ask: Ask, z_t: Tensor, t: Tensor, lr: Tensor | None, guidance: GuidanceTokens | None) -> Tensor:
    """served: int64 [B], the expert of each picture. One call for each expert that is in it, each with its pictures alone."""
    experts: list[int] = served.unique().tolist()
    groups = [(served == index).nonzero().flatten() for index in experts]
    pieces = [
        ask(index, z_t[rows], t[rows], None if lr is None else lr[rows], _rows_of(guidance, rows))
        for index, rows in zip(experts, groups, strict=True)
    ]
    return torch.cat(pieces)[torch.cat(groups).argsort()]


def _rows_of(guidance: GuidanceTokens | None, rows: Tensor) -> GuidanceTokens | None:
    return None if guidance is None else GuidanceTokens(guidance.tokens[rows], guidance.mask[rows])
