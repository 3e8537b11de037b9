"""Work on tensors that have a shape and no content, so that what a model would do is seen without doing it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

KEPT = 4096
"""Values of a tensor that is computed as always: times, masks and boundaries, on which a program's way depends, are smaller;
what costs anything is larger."""
LOOKS = (torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape)
"""Marks of operations whose answer is in the values: `item`, `nonzero`, `unique`."""
CHOICES = (torch.ops.aten._fused_sdp_choice.default,)
"""Operations whose answer is in the kind of device."""
CONVOLUTIONS = {
    torch.ops.aten.convolution.default: slice(0, 2),
    torch.ops.aten.convolution_backward.default: slice(1, 3),
}
"""Where their input and weight are. On a CPU the results are in channels-last order if one of both is; shapes do not know."""
ELSEWHERE = {"device": "meta", "pin_memory": None, "generator": None}
"""What factories are told of the CPU."""

Arguments = tuple[Sequence[Any], Mapping[str, Any]]
Watcher = Callable[[Any, Arguments, Sequence[Tensor], Any], None]
"""(operation, its arguments, the tensors among them, its result), once it is done."""


class Shadow(Tensor):
    """A tensor on the CPU as far as a program can tell; `meta` has its shape, strides and storage, without memory."""

    meta: Tensor

    @staticmethod
    def __new__(cls, meta: Tensor) -> Shadow:
        shadow: Shadow = Tensor._make_wrapper_subclass(
            cls,
            meta.size(),
            strides=meta.stride(),
            storage_offset=meta.storage_offset(),
            dtype=meta.dtype,
            device=torch.device("cpu"),
        )
        shadow.meta = meta
        return shadow

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return on_shapes(func, args, kwargs or {})


class Shadows(TorchDispatchMode):
    """While it is entered, large tensors are made and worked on as shadows, so a program takes the way it takes on a CPU; small
    ones that come from small ones hold their values. A program that looks into a shadow finds zeros there.

    watch: told of every operation.
    """

    def __init__(self, watch: Watcher | None = None):
        super().__init__()
        self.watch = watch
        self._overwrote: list[bool] = []

    def __enter__(self) -> Self:
        """Meanwhile a module that is cast gets new parameters: what is put into a shadow's `data` does not reach its shape."""
        self._overwrote.append(torch.__future__.get_overwrite_module_params_on_conversion())
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        return super().__enter__()

    def __exit__(self, *failure: Any) -> None:
        torch.__future__.set_overwrite_module_params_on_conversion(self._overwrote.pop())
        super().__exit__(*failure)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        inputs = list(tensors_in((args, kwargs)))
        out = _answer(func, inputs, args, kwargs)
        if self.watch is not None:
            self.watch(func, (args, kwargs), inputs, out)
        return out


def empty_weights(module: nn.Module) -> None:
    """All parameters become shadows, small ones too, after which all are alike."""
    for part in module.modules():
        for name, parameter in part._parameters.items():
            if parameter is not None and not isinstance(parameter, Shadow):
                part._parameters[name] = nn.Parameter(Shadow(parameter.detach().to("meta")), parameter.requires_grad)


def on_shapes(func: Any, args: Any, kwargs: Mapping[str, Any]) -> Any:
    """The result as shadows; what was changed in place is the argument itself."""
    if any(tag in func.tags for tag in LOOKS) or func in CHOICES:
        return func(*_each(args, _zeros), **_each(kwargs, _zeros))
    known: dict[int, Shadow] = {}

    def meta_of(tensor: Tensor) -> Tensor:
        if not isinstance(tensor, Shadow):
            return torch.empty_strided(tensor.size(), tensor.stride(), dtype=tensor.dtype, device="meta")
        known[id(tensor.meta)] = tensor
        return tensor.meta

    inner = {**kwargs, **{key: value for key, value in ELSEWHERE.items() if key in kwargs}}
    metas = _each(args, meta_of)
    out = func(*metas, **_each(inner, meta_of))
    if func in CONVOLUTIONS and any(map(_in_channels_last, metas[CONVOLUTIONS[func]])):
        out = _each(out, _to_channels_last)
    return _each(out, lambda meta: known[id(meta)] if id(meta) in known else Shadow(meta))


def _answer(func: Any, inputs: Sequence[Tensor], args: Any, kwargs: Mapping[str, Any]) -> Any:
    if any(isinstance(leaf, Shadow) for leaf in inputs):
        return on_shapes(func, args, kwargs)
    if inputs and all(leaf.numel() <= KEPT for leaf in inputs):
        return func(*args, **kwargs)
    shape = on_shapes(func, args, kwargs)
    return shape if _values(shape) > KEPT else func(*args, **kwargs)


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Of arguments or results, in lists and dicts too."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors_in(item)
    elif isinstance(value, dict):
        yield from tensors_in(list(value.values()))


def _each(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """As torch's tree_map_only, which takes as long as the operation."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, list | tuple):
        return type(value)(_each(item, change) for item in value)
    return {key: _each(item, change) for key, item in value.items()} if isinstance(value, dict) else value


def _in_channels_last(meta: Tensor) -> bool:
    return meta.ndim == 4 and meta.is_contiguous(memory_format=torch.channels_last) and not meta.is_contiguous()


def _to_channels_last(meta: Tensor) -> Tensor:
    return meta.contiguous(memory_format=torch.channels_last) if meta.ndim == 4 else meta


def _zeros(tensor: Tensor) -> Tensor:
    return torch.zeros(tensor.shape, dtype=tensor.dtype) if isinstance(tensor, Shadow) else tensor


def _values(out: Any) -> int:
    return max((tensor.numel() for tensor in tensors_in(out)), default=0)
