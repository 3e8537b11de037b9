"""Laws of the call: what goes in, what comes out, what is refused, and which head sees what."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from linearsr.attention.conformance.subject import GRIDS, Grid, Subject
from linearsr.core.conformance import ConformanceReport, LawSkippedError, close
from linearsr.core.trial import EXACT

FLAGS = ("linear", "permutation_equivariant", "additive")


def hold_interface(report: ConformanceReport, subject: Subject) -> None:
    attention = subject.module()
    report.hold(f"{', '.join(FLAGS)} are declared, each True or False", lambda: _flags(attention))
    for grid in GRIDS:
        law = f"tokens in, as many tokens out, on {grid[0]}×{grid[1]} tokens"
        report.hold(law, partial(_shape, attention, subject.tokens(grid), grid))
    report.hold("an empty batch is refused", lambda: _refused(attention, subject.tokens((5, 3), 0), (5, 3)))
    report.hold("tokens that do not fill the grid are refused", lambda: _refused(attention, subject.tokens((4, 3)), (5, 3)))
    report.hold("a head's output depends on no other head", lambda: _heads(attention, subject.tokens((5, 3)), (5, 3)))


def _flags(attention: object) -> str:
    for flag in FLAGS:
        if not isinstance(value := getattr(attention, flag, None), bool):
            raise AssertionError(f"{flag} is {value!r}; wanted a class attribute that is True or False")
    return ", ".join(f"{flag}={getattr(attention, flag)}" for flag in FLAGS)


def _shape(attention: Any, x: Tensor, grid: Grid) -> None:
    with torch.no_grad():
        out = attention(x, grid)
    if out.shape != x.shape or out.dtype != x.dtype or not bool(out.isfinite().all()):
        raise AssertionError(
            f"{x.dtype} {list(x.shape)} became {out.dtype} {list(out.shape)}, finite: {bool(out.isfinite().all())}"
        )


def _refused(attention: Any, x: Tensor, grid: Grid) -> str:
    """By an exception of any kind: a third party need not know ours."""
    try:
        with torch.no_grad():
            out = attention(x, grid)
    except Exception as error:
        return f"{type(error).__name__}: {error}".partition("\n")[0]
    raise AssertionError(f"tokens {list(x.shape)} on a grid {grid} were answered with {list(out.shape)}; raise an error")


def _heads(attention: Any, x: Tensor, grid: Grid) -> str:
    """Where queries, keys and values are to be had from `split` and are mixed in `mix`, as in our base."""
    if not (hasattr(attention, "split") and hasattr(attention, "mix")):
        raise LawSkippedError("there are no split(x, grid) and mix(q, k, v, grid)")
    with torch.no_grad():
        before = attention.split(x, grid)
        heads, mixed = before[0].shape[1], attention.mix(*before, grid)
        if heads == 1:
            raise LawSkippedError("there is one head")
        for head in range(heads):
            after = [part.clone() for part in before]
            for part in after:
                part[:, head] = part[:, head].flip(1) + 1
            others = [other for other in range(heads) if other != head]
            got = attention.mix(*after, grid)
            figure = close(f"with head {head} changed, the others", got[:, others], mixed[:, others], EXACT)
            if torch.equal(got[:, head], mixed[:, head]):
                raise AssertionError(f"other queries, keys and values of head {head} leave its output the same")
    return f"{heads} heads, {figure}"
