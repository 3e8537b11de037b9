"""Tensors that lie in pieces on the ranks, and whole ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor


def whole(tensor: Tensor) -> Tensor:
    """The same values in one plain tensor on this rank. Where it lies in pieces every rank must call it, in one order."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def in_pieces_like(tensor: Tensor, example: Tensor) -> Tensor:
    """This rank's piece of a whole tensor that every rank holds, laid out as `example` is; nothing is sent."""
    if not isinstance(example, DTensor) or isinstance(tensor, DTensor):
        return tensor
    own = tensor.to(example.device)
    return distribute_tensor(own, example.device_mesh, example.placements, src_data_rank=None)


def is_in_pieces(model: nn.Module) -> bool:
    return any(isinstance(parameter, DTensor) for parameter in model.parameters())


def whole_values(value: Any) -> Any:
    """A copy of a nest of dicts, lists and tuples with every tensor whole; every rank must call it."""
    if isinstance(value, Mapping):
        return {key: whole_values(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        items = [whole_values(item) for item in value]
        return items if isinstance(value, list) else tuple(items)
    return whole(value.detach().clone()) if isinstance(value, Tensor) else value
