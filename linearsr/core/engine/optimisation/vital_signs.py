"""What the attention layers of a model say of themselves, each where it offers it (core/protocols.py, Attention)."""

from __future__ import annotations

import math
from collections import defaultdict
from functools import partial
from typing import Any

import torch
from mmengine.dist import all_gather_object
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule

Signs = dict[str, tuple[float, float]]
"""Name of a layer in the model -> smallest denominator above 0 (infinity: there was none), largest entry of the state."""


def offering(model: nn.Module, method: str) -> dict[str, Any]:
    """Name -> each module that has this method."""
    return {name: module for name, module in model.named_modules() if callable(getattr(module, method, None))}


@torch.no_grad()
def query_key_norms(model: nn.Module) -> dict[str, list[float]]:
    """Name of a layer -> [|W_q|, |W_k|]. Every rank must call it, as weights may lie in pieces on them."""
    return {
        name: [float(norm) for norm in layer.query_key_norms()] for name, layer in offering(model, "query_key_norms").items()
    }


@torch.no_grad()
def read_signs(model: nn.Module, batch: Any, optim_wrapper: Any) -> Signs:
    """Of one more forward pass of a training batch, of all ranks together, in the types of training. Nothing is changed by it.

    model: without its data-parallel wrapper; batch: of this rank, as the loop had it. Layers that the batch did not reach on
    any rank are left out. Every rank must call it.
    """
    seen: dict[str, list[tuple[Tensor, Tensor]]] = defaultdict(list)
    hooks = [
        layer.register_forward_pre_hook(partial(_note, seen[name]), with_kwargs=True)
        for name, layer in offering(model, "vital_signs").items()
    ]
    try:
        # compiled blocks know nothing of hooks that come later; parts that draw from global generators leave them as they were
        with torch.compiler.set_stance("force_eager"), torch.random.fork_rng(), optim_wrapper.optim_context(model):
            data = model.data_preprocessor(batch, True)  # type: ignore[operator]
            model(**data, mode="loss")
    finally:
        for hook in hooks:
            hook.remove()
        for part in model.modules():
            if isinstance(part, FSDPModule):
                part.reshard()  # it would wait for a backward
    return _of_all_ranks({name: _together(readings) for name, readings in seen.items() if readings})


def _note(readings: list[tuple[Tensor, Tensor]], layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    readings.append(layer.vital_signs(*args, **kwargs))


def _together(readings: list[tuple[Tensor, Tensor]]) -> tuple[float, float]:
    denominators, states = (
        torch.stack([value.detach().double() for value in column]) for column in zip(*readings, strict=True)
    )
    return float(denominators.min()), float(states.max())  # of which both are NaN where a reading is


def _of_all_ranks(own: Signs) -> Signs:
    everyones = all_gather_object(own)
    names = list(dict.fromkeys(name for signs in everyones for name in signs))
    return {name: _worst([signs[name] for signs in everyones if name in signs]) for name in names}


def _worst(signs: list[tuple[float, float]]) -> tuple[float, float]:
    denominators, states = zip(*signs, strict=True)
    return (
        math.nan if any(map(math.isnan, denominators)) else min(denominators),
        math.nan if any(map(math.isnan, states)) else max(states),
    )
