"""Laws at the edges of numbers: tokens that are zero, features that are all dead, values near the end of a type's range."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor

from linearsr.attention.conformance.subject import Grid, Subject
from linearsr.core.conformance import ConformanceReport, LawSkippedError
from linearsr.core.module_laws import roughly
from linearsr.core.randomness import generator
from linearsr.core.trial import SINGLE, SIXTEEN, learn

T = TypeVar("T")

TYPES = (torch.float32, torch.bfloat16, torch.float16)
LARGE = {torch.float32: (1e4, SINGLE), torch.bfloat16: (1e4, SIXTEEN), torch.float16: (16.0, SIXTEEN)}
"""Deviation of the tokens, and the error allowed. Sums of products reach 1e8 · N, and float16 ends at 65504."""
MANY: Grid = (32, 32)
"""Unnormalised sums leave float16 long before their quotient does; Sana's first trainings ended so."""
WELL_CONDITIONED = 0.25
"""Of the error allowed: what the rounding of the tokens alone may move the answer for the error to be judged (our choice)."""


def hold_extremes(report: ConformanceReport, subject: Subject) -> None:
    for what, law in (
        (_all_zero, "tokens that are all zero"),
        (_one_zero, "a token that is zero"),
        (_all_negative, "projections that are all negative"),
    ):
        report.hold(f"{law}: outputs and gradients are finite", partial(_dead, subject, what))
    for dtype in LARGE:
        report.hold(f"large {_name(dtype)} tokens: outputs and gradients are finite", partial(_large_finite, subject, dtype))
        report.hold(f"large {_name(dtype)} tokens: outputs are float64's, roughly", partial(_large_accurate, subject, dtype))


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


Case = Callable[[Any, Tensor], Tensor]
"""(attention, which it may change, tokens) -> the tokens to try."""


def _all_zero(attention: Any, x: Tensor) -> Tensor:
    return torch.zeros_like(x)


def _one_zero(attention: Any, x: Tensor) -> Tensor:
    return torch.cat([torch.zeros_like(x[:, :1]), x[:, 1:]], dim=1)


def _all_negative(attention: Any, x: Tensor) -> Tensor:
    """Positive tokens through negative matrices: with φ = ReLU no key and no query has a feature left."""
    with torch.no_grad():
        for parameter in attention.parameters():
            if parameter.ndim > 1:
                parameter.copy_(-parameter.abs())
    return x.abs()


def _dead(subject: Subject, case: Case) -> str:
    grid = (5, 3)
    for dtype in TYPES:
        attention = subject.module(dtype)
        x = case(attention, subject.tokens(grid).to(dtype))
        _finite(f"{_name(dtype)}: ", _try(attention, x, grid))
    return ", ".join(map(_name, TYPES))


def _large_tokens(subject: Subject, dtype: torch.dtype) -> Tensor:
    return (LARGE[dtype][0] * subject.tokens(MANY, batch=1)).to(dtype)


def _large_finite(subject: Subject, dtype: torch.dtype) -> str:
    found = _try(subject.module(dtype), _large_tokens(subject, dtype), MANY)
    _finite("", found)
    return f"outputs reach {found['the output'].abs().max().item():.3g}"


@torch.no_grad()
def _large_accurate(subject: Subject, dtype: torch.dtype) -> str:
    allowed, attention, x = LARGE[dtype][1], subject.module(dtype), _large_tokens(subject, dtype)
    got = _known(lambda: attention(x, MANY))
    exact, x64 = copy.deepcopy(attention).double(), x.double()
    want = exact(x64, MANY)
    noise = torch.randn(x.shape, generator=generator(3), dtype=torch.float64).to(x.device)
    moved = exact(x64 * (1 + torch.finfo(dtype).eps / 2 * noise), MANY) - want
    share = (moved.square().mean() / want.square().mean()).sqrt().item()
    if share > (limit := WELL_CONDITIONED * allowed):
        raise LawSkippedError(
            f"rounding of the tokens alone moves float64's by {share:.1e}; beyond {limit:.1e} errors say nothing"
        )
    return roughly(got, want, allowed)


def _try(attention: Any, x: Tensor, grid: Grid) -> Mapping[str, Tensor]:
    """Outputs without gradients, which may come another way, then with them, along a direction of length 1."""
    along = torch.randn(x.shape, generator=generator(1), dtype=torch.float64)
    with torch.no_grad():
        plain = _known(lambda: attention(x, grid))
    learnt = _known(lambda: learn(lambda tokens: attention(tokens, grid), attention, x, along / along.norm()))
    return learnt | {"the output": plain}


def _known(compute: Callable[[], T]) -> T:
    """What `compute` gives; LawSkippedError where torch lacks one of its operations in this type."""
    try:
        return compute()
    except RuntimeError as error:
        if "not implemented for" in str(error):
            raise LawSkippedError(f"this torch cannot: {error}") from error
        raise


def _finite(where: str, found: Mapping[str, Tensor]) -> None:
    for name, value in found.items():
        if not bool(value.isfinite().all()):
            share = (~value.isfinite()).double().mean()
            raise AssertionError(f"{where}{share:.0%} of {name} is not finite; sum and divide in at least float32")
