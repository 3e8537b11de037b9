"""Laws of what torch does to a module in training: pickled, compiled, and computed again instead of kept."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from linearsr.core.conformance import ConformanceReport, LawSkippedError, close
from linearsr.core.trial import EXACT, Trial, learn

BACKEND = "aot_eager"
"""Traces forward and backward as the default backend does, and then needs no C++ compiler."""


def hold_uses(report: ConformanceReport, trials: Sequence[Trial]) -> None:
    """trials: of the same module on inputs of several sizes; the first serves where one is enough."""
    trial = trials[0]
    report.hold("survives pickling", lambda: _pickled(trial))
    report.hold("activation checkpointing changes no bit", lambda: _checkpointed(trial))
    report.hold(f"torch.compile computes the same at {len(trials)} sizes", lambda: _compiled(trials))


def _pickled(trial: Trial) -> str:
    """To another process and back."""
    module = trial.module()
    if not _importable(type(module)):
        raise LawSkippedError(f"no import finds {type(module).__module__}.{type(module).__qualname__}, as pickle would")
    return close("output", trial.answer(pickle.loads(pickle.dumps(module))), trial.answer(module), 0)


def _importable(cls: type) -> bool:
    found: object = sys.modules.get(cls.__module__)
    for name in cls.__qualname__.split("."):
        found = getattr(found, name, None)
    return found is cls


def _checkpointed(trial: Trial) -> str:
    """Activations are computed a second time in the backward pass, and torch's random state is not put back for that."""
    module = trial.module()

    def again(x: Tensor) -> Tensor:
        return checkpoint(trial.run, module, x, *trial.others, use_reentrant=False, preserve_rng_state=False)

    return _same(learn(again, module, trial.x), _kept(trial, module), 0)


def _compiled(trials: Sequence[Trial]) -> str:
    """Each size is compiled by itself: with sizes as variables, some that cut windows take torch a minute of algebra.

    Graph breaks are allowed: they cost time, not truth.
    """
    torch.compiler.reset()  # what others compiled counts against torch's limit of versions of one function
    try:
        module = trials[0].module()
        compiled = torch.compile(module, backend=BACKEND, dynamic=False)
        figures = [
            _same(learn(lambda x, t=trial: t.run(compiled, x, *t.others), module, trial.x), _kept(trial, module), EXACT)  # type: ignore[misc]
            for trial in trials
        ]
    finally:
        torch.compiler.reset()
    return figures[-1]


def _kept(trial: Trial, module: nn.Module) -> dict[str, Tensor]:
    """Outputs and gradients in the plain way."""
    return learn(lambda x: trial.run(module, x, *trial.others), module, trial.x)


def _same(got: Mapping[str, Tensor], want: Mapping[str, Tensor], tolerance: float) -> str:
    """Gradients against the largest of all: those that are nothing but rounding have no size of their own."""
    largest = max(value.abs().max().item() for value in want.values())
    for name, value in want.items():
        if not (worst := (got[name] - value).abs().max().item()) <= tolerance * largest:
            raise AssertionError(f"{name} differs by {worst:.2e} where the largest is {largest:.2e}")
    return f"output and {len(want) - 1} gradients within {tolerance:.0e}"
