"""Laws of cost: products, bytes and, if asked for, time must not grow faster than the class declares."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from linearsr.attention.conformance.subject import Grid, Subject
from linearsr.core.conformance import ConformanceReport, LawSkippedError
from linearsr.core.costs import Work, cpu_seconds, exponent, flops, growth_exponent, peak_bytes

LINEAR = 1.1
"""What "linear" may measure, in products and in bytes. Of products b·N + c·N² it is exceeded where the second part is more
than a tenth of the first at 4096 tokens."""
LINEAR_IN_TIME = 1.3
"""More than in products: large arrays leave the processor's caches, and small ones are mostly the cost of a call."""

GRIDS: tuple[Grid, ...] = ((32, 32), (32, 64), (64, 64))
SMALL_GRIDS: tuple[Grid, ...] = ((16, 16), (16, 32), (32, 32))
"""For products of what does not declare to be linear; they need no size to be exact.

Twice a side needs at most twice as many padded windows, of any size: steps of whole windows never look like more than
linear growth.
"""
TIMED: tuple[Grid, ...] = ((32, 32), (32, 64), (64, 64), (64, 128))

Load = Callable[[Any, Tensor, Grid], object]
"""(attention, tokens, grid): the work to be measured."""
Measure = Callable[[Work], float]
Fit = Callable[[Sequence[float], Sequence[float]], float]
"""(sizes, costs) -> the exponent"""


def hold_growth(report: ConformanceReport, subject: Subject, *, timing: bool = False) -> None:
    report.hold("FLOPs grow as declared", lambda: _flops(subject))
    report.hold("peak bytes grow as declared", lambda: _bytes(subject))
    if timing:
        report.hold("CPU time grows as declared", lambda: _seconds(subject))


def _flops(subject: Subject) -> str:
    grids = GRIDS if subject.module().linear is True else SMALL_GRIDS
    if not any(_measured(subject, _learning, flops, grids[:1])):
        raise LawSkippedError("torch's counter knows none of its products")
    return _followed(subject, "FLOPs", flops, growth_exponent, grids)


def _bytes(subject: Subject) -> str:
    """Beyond tokens and weights.

    The constant part stays in: peaks at two moments, one of which grows faster and wins later, would be no power law
    without it. At these sizes and the usual width a single N×N matrix is ten times all that grows linearly.
    """
    return _followed(subject, "bytes", partial(peak_bytes, device=subject.device), exponent, GRIDS)


def _followed(subject: Subject, what: str, measure: Measure, fit: Fit, grids: Sequence[Grid]) -> str:
    """Restoring may take another road than learning, so each is followed, and the steeper one judged."""
    figures, powers, sizes = [], [], _sizes(grids)
    for name, load in (("restoring", _restoring), ("learning", _learning)):
        costs = _measured(subject, load, measure, grids)
        powers.append(fit(sizes, costs))
        figures.append(f"{name}, {what} grow as N^{powers[-1]:.2f} from {costs[0]:,} at {sizes[0]} tokens")
    return _judged(subject, LINEAR, max(powers), "; ".join(figures))


def _seconds(subject: Subject) -> str:
    if subject.device.type != "cpu":
        raise LawSkippedError(f"the work is done on {subject.device}, not by the processor")
    times = _measured(subject, _restoring, cpu_seconds, TIMED)
    power = exponent(_sizes(TIMED), times)
    largest = _sizes(TIMED)[-1]
    return _judged(
        subject, LINEAR_IN_TIME, power, f"time grows as N^{power:.2f} to {1e3 * times[-1]:.2f} ms at {largest} tokens"
    )


def _judged(subject: Subject, allowed: float, power: float, figures: str) -> str:
    """What declares to be linear fails above `allowed`; anything else is measured and told."""
    if subject.module().linear is not True:
        return f"{figures} (linear is not declared)"
    if not power <= allowed:
        raise AssertionError(f"{figures}; linear is declared, so at most N^{allowed}")
    return f"{figures}, at most N^{allowed}"


def _sizes(grids: Sequence[Grid]) -> list[int]:
    return [height * width for height, width in grids]


def _measured(subject: Subject, load: Load, measure: Measure, grids: Sequence[Grid]) -> list[float]:
    """One picture of each size in float32, after one that is not counted: libraries of a device take room at a first call."""
    attention = subject.module(torch.float32)
    pictures = [(subject.tokens(grid, batch=1).float(), grid) for grid in grids]
    load(attention, *pictures[0])
    return [measure(partial(load, attention, x, grid)) for x, grid in pictures]


def _restoring(attention: Any, x: Tensor, grid: Grid) -> None:
    with torch.no_grad():
        attention(x, grid)


def _learning(attention: Any, x: Tensor, grid: Grid) -> None:
    """Gradients are let go at the end, so that what was held before is held again."""
    tokens = x.clone().requires_grad_()
    attention(tokens, grid).sum().backward()
    attention.zero_grad(set_to_none=True)
