"""What an optimiser does with one weight, to be multiplied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from linearsr.core.planning.ledger import Ledger
from linearsr.core.planning.shadows import Shadows
from linearsr.core.registries import OPTIMIZERS


@dataclass(frozen=True)
class Trial:
    """kept: bytes of moments for each value; moved: bytes read and written in a step, likewise; growth: bytes of temporaries,
    one weight after the other being worked on."""

    kept: float
    moved: float
    growth: int


def try_optimizer(described: Mapping[str, Any], largest: nn.Parameter) -> Trial:
    """described: dict(type=…, …); largest: of the weights, a shadow. Its work is taken to grow with the number of values."""
    holder = nn.Module()
    holder.weight = nn.Parameter(torch.empty_like(largest))
    ledger = Ledger(holder)
    with Shadows(ledger.note):
        holder.weight.grad = torch.empty_like(largest)
        ledger.memory.piece(holder.weight.grad)
        gradient = ledger.memory.live
        optimiser = OPTIMIZERS.build({**described, "params": [holder.weight]})
        optimiser.step()
        kept = ledger.memory.live - gradient
        with ledger.phase("step") as account:
            optimiser.step()
    values = largest.numel()
    return Trial(kept / values, account.work.bytes / values, account.growth)
