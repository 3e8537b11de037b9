"""All weights of a model, those among them that its checkpoints do not hold, and a copy of the model that has none."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from linearsr.core.planning.shadows import KEPT, Shadow

AT_WORK = 2
"""Experts of an offloaded mixture that are on the device at once: one works, and the next one is on its way."""


def parts_with_weights(model: Any) -> dict[str, nn.Module]:
    """The model, "", and the networks that its autoencoder loads by itself, "autoencoder"; they are loaded now."""
    load = getattr(getattr(model, "autoencoder", None), "load", None)
    return {"": model} if load is None else {"": model, "autoencoder": load()}


def weight_bytes(model: Any, device: torch.device | None = None) -> int:
    """Of parameters and buffers. device: of those alone that are there; None: of all that are needed at one time, without
    the offloaded experts that wait."""
    tensors = [tensor for part in parts_with_weights(model).values() for tensor in _tensors(part)]
    if device is not None:
        return bytes_of(tensor for tensor in tensors if tensor.device == device)
    if getattr(model.denoiser, "offload", None) is None:
        return bytes_of(tensors)
    experts = [bytes_of(_tensors(expert)) for expert in model.denoiser.experts]
    return bytes_of(tensors) - sum(experts) + sum(sorted(experts)[-AT_WORK:])


def bytes_of(tensors: Iterable[Tensor]) -> int:
    """Shared storages once."""
    storages = [(tensor.meta if isinstance(tensor, Shadow) else tensor).untyped_storage() for tensor in tensors]
    return sum({storage._cdata: storage.nbytes() for storage in storages}.values())


def shadow_copy(model: Any, stand_ins: Iterable[tuple[Any, Any]] = ()) -> Any:
    """A copy of a model whose large tensors are shadows, so that it needs no memory; without hooks, which may hold a whole run.

    stand_ins: parts of the model, each with what is in its place in the copy
    """
    parts = parts_with_weights(model)
    memo: dict[int, Any] = {id(part): stand_in for part, stand_in in stand_ins}
    for module in (module for part in parts.values() for module in part.modules()):
        memo |= {id(hooks): type(hooks)() for name, hooks in vars(module).items() if name.endswith("_hooks")}
        memo |= {id(own): _shadow(own) for own in (*module._parameters.values(), *module._buffers.values()) if own is not None}
        memo |= {id(vars(module)["offload"]): None} if "offload" in vars(module) else {}
    if "autoencoder" in parts:
        memo[id(model.autoencoder)] = model.autoencoder.running(copy.deepcopy(parts["autoencoder"], memo))
    return copy.deepcopy(model, memo)


def _shadow(tensor: Tensor) -> Tensor:
    """Parameters all become shadows, after which all are alike; of buffers, which a program may look into, the large ones."""
    if isinstance(tensor, nn.Parameter):
        return nn.Parameter(Shadow(tensor.detach().to("meta")), tensor.requires_grad)
    return Shadow(tensor.detach().to("meta")) if tensor.numel() > KEPT else tensor.detach().cpu().clone()


def _tensors(module: nn.Module) -> Iterator[Tensor]:
    yield from module.parameters()
    yield from module.buffers()
