"""Tensors inside whatever modules pass to one another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from torch import Tensor


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Every floating-point tensor, in order, through lists, tuples, dicts and dataclasses."""
    if isinstance(value, Tensor):
        if value.is_floating_point():
            yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from tensors_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors_in(item)
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            yield from tensors_in(getattr(value, field.name))


def local(tensor: Tensor) -> Tensor:
    """This rank's part of a sharded tensor, so that looking at it asks no other rank."""
    part: Tensor = tensor.to_local() if hasattr(tensor, "to_local") else tensor
    return part.detach()


def is_finite(tensor: Tensor) -> bool:
    return bool(local(tensor).isfinite().all())


def all_finite(value: Any) -> bool:
    return all(is_finite(tensor) for tensor in tensors_in(value))


def describe(value: Any) -> str:
    """dtype, shape and largest size of what is finite in each tensor: "float32 [2, 64, 16], |x| ≤ 3.2"."""
    return "; ".join(_one(local(tensor)) for tensor in tensors_in(value)) or "no tensor"


def _one(tensor: Tensor) -> str:
    finite = tensor[tensor.isfinite()]
    peak = f"|x| ≤ {float(finite.abs().max()):.3g}" if finite.numel() else "nothing in it finite"
    bad = tensor.numel() - finite.numel()
    count = f", {bad} of {tensor.numel()} not finite" if bad and finite.numel() else ""
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}, {peak}{count}"
