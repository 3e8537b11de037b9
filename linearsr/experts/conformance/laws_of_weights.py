"""What a router owes that learns: weights that are shares, the largest of which serves, and a module around them."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from linearsr.core.conformance import ConformanceReport, close
from linearsr.core.module_laws import hold_module_laws
from linearsr.core.trial import SINGLE, Trial
from linearsr.experts.conformance.asked import Asked

FEW = 8
"""Times and pictures for the laws of a module, which are tried one by one."""


def hold_laws_of_weights(report: ConformanceReport, asked: Asked) -> None:
    """Of a router with features."""
    assert asked.features is not None
    report.hold("weights are [B, K] in t's type, not negative, and sum to 1", lambda: _shares(asked))
    report.hold("the expert of the largest weight serves", lambda: _largest(asked))
    t = torch.linspace(0.05, 0.95, FEW, dtype=torch.float64)
    hold_module_laws(report, Trial(lambda: copy.deepcopy(asked.router), _weigh, asked.features[:FEW].double(), (t,)))


def _weigh(module: Any, features: Tensor, t: Tensor) -> Tensor:
    """In the features' type, as a module answers; t is never cast."""
    return module.weights(t, features).to(features.dtype)


def _shares(asked: Asked) -> str:
    for dtype in (torch.float32, torch.float64):
        weights, wanted = asked.weights(asked.t.to(dtype)), (len(asked.t), asked.num_experts)
        if weights.dtype != dtype or weights.shape != wanted:
            raise AssertionError(f"of t {dtype} they are {weights.dtype} {list(weights.shape)}; wanted {dtype} {list(wanted)}")
        if not bool((weights >= 0).all()):
            raise AssertionError(f"the least is {weights.min()}")
        sums = close("sums", weights.sum(dim=1), torch.ones(len(asked.t)), SINGLE)
    return sums


def _largest(asked: Asked) -> None:
    weights = asked.weights(asked.t)
    chosen = weights.gather(1, asked.route(asked.t)[:, None]).squeeze(1)
    lost = chosen < weights.amax(dim=1)
    if bool(lost.any()):
        raise AssertionError(f"another weight is larger at t = {asked.t[lost].tolist()[:8]}")
