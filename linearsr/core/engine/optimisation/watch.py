"""Hooks on every module that find the first one to turn finite numbers into others."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from linearsr.core.engine.optimisation.tensors import all_finite, describe, is_finite, tensors_in


class Watch:
    """`with Watch(model) as watch: model(…)`; afterwards `watch.found` says where, or is None."""

    def __init__(self, model: nn.Module):
        self.found: str | None = None
        self._names = {module: name for name, module in model.named_modules()}
        self._hooks: list[RemovableHandle] = []

    def __enter__(self) -> Watch:
        for module in self._names:
            self._hooks.append(module.register_forward_hook(self._after, with_kwargs=True))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for hook in self._hooks:
            hook.remove()

    def name(self, module: nn.Module) -> str:
        kind = type(module).__name__
        return f"{self._names[module]} ({kind})" if self._names[module] else f"{kind} itself, outside its parts"

    def _after(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        raise NotImplementedError


class ForwardWatch(Watch):
    """A module is done after the modules that it calls, so the innermost speaks first."""

    def _after(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        if self.found is None and not all_finite(output) and all_finite((args, kwargs)):
            self.found = f"first in {self.name(module)}: in came {describe((args, kwargs))}; out went {describe(output)}"


class BackwardWatch(Watch):
    """On the way back, module outputs get their gradients in the reverse order of the forward pass."""

    def __init__(self, model: nn.Module):
        super().__init__(model)
        self._last = "the loss"

    def _after(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        for tensor in tensors_in(output):
            if tensor.requires_grad:
                tensor.register_hook(lambda gradient, module=module: self._look(module, gradient))

    def _look(self, module: nn.Module, gradient: Tensor) -> None:
        if self.found is not None:
            return
        if is_finite(gradient):
            self._last = f"the output of {self.name(module)}"
        else:
            self.found = (
                f"on the way back the gradient is finite down to {self._last}, and not at the output of {self.name(module)}: "
                f"{describe(gradient)}"
            )
