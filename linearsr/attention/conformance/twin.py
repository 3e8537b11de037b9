"""Where there is a `forward_dense(x, grid)`, the slow and obvious road, `forward` gives the same, and so do the gradients."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from linearsr.attention.conformance.subject import GRIDS, Grid, Subject
from linearsr.core.conformance import ConformanceReport, LawSkippedError, close
from linearsr.core.trial import EXACT, learn


def hold_twin(report: ConformanceReport, subject: Subject) -> None:
    attention = subject.module()
    for grid in GRIDS:
        x, where = subject.tokens(grid), f"on {grid[0]}×{grid[1]} tokens"
        report.hold(f"forward is forward_dense {where}", partial(_outputs, attention, x, grid))
        report.hold(f"gradients are those of forward_dense {where}", partial(_gradients, attention, x, grid))


def _dense_form(attention: Any) -> Callable[[Tensor, Grid], Tensor]:
    if not hasattr(attention, "forward_dense"):
        raise LawSkippedError("there is no forward_dense(x, grid)")
    return attention.forward_dense


def _outputs(attention: Any, x: Tensor, grid: Grid) -> str:
    dense = _dense_form(attention)
    with torch.no_grad():
        return close("output", attention(x, grid), dense(x, grid), EXACT)


def _gradients(attention: Any, x: Tensor, grid: Grid) -> str:
    dense = _dense_form(attention)
    wanted = learn(lambda tokens: dense(tokens, grid), attention, x)
    got = learn(lambda tokens: attention(tokens, grid), attention, x)
    names = [name for name in wanted if name != "the output"]
    largest = max(wanted[name].abs().max().item() for name in names)
    for name in names:
        # of the largest of all gradients: a softmax over one token leaves its keys nothing but rounding
        if not (worst := (got[name] - wanted[name]).abs().max().item()) <= EXACT * largest:
            raise AssertionError(f"{name} differs by {worst:.2e} where gradients reach {largest:.2e}")
    return f"{len(names)} gradients within {EXACT:.0e}"
