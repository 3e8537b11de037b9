"""Where the first number that is not finite came from: the data, a weight, a module, or the way back.

Slow and exact: called once a step has gone wrong. Every rank must call it, as sharded models exchange weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from mmengine.dist import all_gather_object, get_world_size
from torch import nn

from linearsr.core.engine.optimisation.divergence import Diverged
from linearsr.core.engine.optimisation.tensors import is_finite, local, tensors_in
from linearsr.core.engine.optimisation.watch import BackwardWatch, ForwardWatch

T = TypeVar("T")


@dataclass(frozen=True)
class Cause:
    """text: for people, the same on all ranks. in_weights: no other batch will do better. step_taken: it shows in weights that
    a step has changed, though all are finite."""

    text: str
    in_weights: bool
    step_taken: bool = False


def find_cause(event: Diverged, model: nn.Module, batch: Any, optim_wrapper: Any) -> Cause:
    """model: without its data-parallel wrapper, as it was when the step went wrong, gradients included; batch: of this rank,
    as the loop had it. The batch is run again: what a sample draws comes from its own seed. Gradients are lost.

    An alarm brings its cause with it.
    """
    if event.alarm is not None:
        return Cause(event.alarm.text, in_weights=False, step_taken=True)
    weight = bad_weight(model)
    gradient = bad_gradient(model) if event.what == "gradient" else None
    places = _everyones(bad_data(batch) or weight)
    if not any(places):  # all run it again, or none: they may have to exchange weights
        places = _everyones(_again(event, model, batch, optim_wrapper))
    sights = _everyones(_Sight(event.here, event.value, gradient, weight is not None))
    return _agreed(event, sights, places)


def bad_data(batch: Any) -> str | None:
    """The first picture that holds NaN or infinity. batch: as collate_pictures makes it, or any mapping of tensors."""
    for key, value in batch.items() if isinstance(batch, Mapping) else ():
        for tensor in tensors_in(value):
            if is_finite(tensor):
                continue
            row = next((i for i, part in enumerate(tensor) if not is_finite(part)), 0) if tensor.ndim else 0
            names, sets = batch.get("names"), batch.get("datasets")
            who = f"the picture {names[row]!r}" if names else f"sample {row} of the batch"
            return f"the data: {key} of {who}{f' of {sets[row]}' if names and sets else ''} is not finite"
    return None


def bad_weight(model: nn.Module) -> str | None:
    """The first parameter or buffer, in the model's order, that is not finite."""
    for kind, named in (("weight", model.named_parameters()), ("buffer", model.named_buffers())):
        for name, tensor in named:
            if not is_finite(tensor):
                return f"the {kind} {name} is not finite"
    return None


def bad_gradient(model: nn.Module) -> str | None:
    """The first parameter, in the model's order, whose gradient is not finite; the largest one if only their norm is not."""
    largest, size = "", -1.0
    for name, parameter in model.named_parameters():
        if parameter.grad is None:
            continue
        if not is_finite(parameter.grad):
            return f"the first gradient that is not finite is that of {name}"
        peak = float(local(parameter.grad).abs().max()) if local(parameter.grad).numel() else 0.0
        largest, size = (name, peak) if peak > size else (largest, size)
    return f"each gradient is finite, but not their norm; the largest, {size:.3g}, is that of {largest}" if largest else None


@dataclass(frozen=True)
class _Sight:
    """What one rank knows."""

    here: bool
    value: float
    gradient: str | None
    in_weights: bool


def _everyones(own: T) -> list[T]:
    everyones: list[T] = all_gather_object(own) if get_world_size() > 1 else [own]
    return everyones


def _agreed(event: Diverged, sights: Sequence[_Sight], places: Sequence[str | None]) -> Cause:
    """The first rank that knows a place speaks; if none does, the first whose own numbers are bad."""
    rank = min(range(len(sights)), key=lambda rank: (places[rank] is None, not sights[rank].here, rank))
    seen = sights[rank]
    where = places[rank] or "run again with the same weights, the batch gives finite numbers"
    on_rank = f" on rank {rank}" if len(sights) > 1 else ""
    what = f"the {event.what} is not finite ({seen.value:g}{event.note}){on_rank}"
    return Cause(f"{what}: {'; '.join(filter(None, (seen.gradient, where)))}", any(sight.in_weights for sight in sights))


def _again(event: Diverged, model: nn.Module, batch: Any, optim_wrapper: Any) -> str | None:
    """What watching the same step shows. An error in it must not hide the divergence: it is told instead."""
    optim_wrapper.zero_grad()
    scaler = optim_wrapper.precision.scaler
    watch = BackwardWatch(model) if event.what == "gradient" else ForwardWatch(model)
    try:
        # compiled blocks are watched uncompiled; parts that draw from global generators leave them as they were
        with torch.compiler.set_stance("force_eager"), torch.random.fork_rng(), torch.enable_grad():
            with watch, optim_wrapper.precision.autocast():
                data = model.data_preprocessor(batch, True)  # type: ignore[operator]
                losses = model(**data, mode="loss") if isinstance(data, Mapping) else model(*data, mode="loss")
                loss, _ = model.parse_losses(losses)  # type: ignore[operator]
            if event.what == "gradient":
                (loss if scaler is None else scaler.scale(loss)).backward()
    except Exception as error:
        return f"the batch could not be run again to find the first module ({type(error).__name__}: {error})"
    finally:
        optim_wrapper.zero_grad()
    return watch.found
