"""How the cost of attention layers grows with the tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from measuring import interleave, stopwatch
from torch import nn

from linearsr.core.costs import exponent, flops, peak_bytes

ROUNDS = 5
BUDGET = 5.0
"""Seconds for one size."""
COUNTED = 4096
"""Tokens up to which products are counted: softmax attention is counted with its whole matrix in memory."""


@torch.inference_mode()
def costs(layers: Sequence[nn.Module], width: int, sides: Sequence[int]) -> dict[str, Any]:
    """layers: attentions of tokens of this width, run one after the other on squares of tokens with these sides.

    Products, peak bytes and CPU milliseconds by tokens, and the exponent of each in the number of tokens.
    """
    device = torch.device("cpu")
    sizes = [side * side for side in sides]
    jobs = {side * side: _job(layers, width, side) for side in sides}
    times = interleave(jobs, stopwatch(device), rounds=ROUNDS, budget=BUDGET)
    found: dict[str, dict[int, float]] = {
        "flops": {tokens: flops(jobs[tokens]) for tokens in sizes if tokens <= COUNTED},
        "peak_bytes": {tokens: peak_bytes(jobs[tokens]) for tokens in sizes},
        "milliseconds": {tokens: 1000 * times[tokens].median for tokens in sizes},
    }
    return {"costs": found, "exponents": {name: exponent(list(by), list(by.values())) for name, by in found.items()}}


def _job(layers: Sequence[nn.Module], width: int, side: int) -> Callable[[], None]:
    x = torch.randn(1, side * side, width, generator=torch.Generator().manual_seed(0))

    def run() -> None:
        for layer in layers:
            layer(x, (side, side))

    return run
