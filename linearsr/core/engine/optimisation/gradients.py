"""The norm of all gradients, whole or sharded, and clipping by it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_value_, clip_grads_with_norm_, get_total_norm

from linearsr.core.errors import ConfigError

Parameters = list[nn.Parameter]


class Clipping:
    """What `optim_wrapper.clip_grad` says, as mmengine writes it: max_norm and norm_type, or type="value" and clip_value.

    None: gradients are measured and left as they are. Raises ConfigError for a value that clips nothing.
    """

    def __init__(self, settings: Mapping[str, Any] | None):
        options = dict(settings or {})
        by_value = options.pop("type", "norm") == "value"
        self.foreach: bool | None = options.pop("foreach", None)
        self.norm_type = float(options.pop("norm_type", 2.0))
        self.limit: float | None = None if settings is None else options.pop("clip_value" if by_value else "max_norm", None)
        self.by_value = by_value
        if options or (settings is not None and not (isinstance(self.limit, int | float) and self.limit > 0)):
            raise ConfigError(
                f"optim_wrapper.clip_grad is {settings}; wanted dict(max_norm=…, norm_type=2) with max_norm > 0, "
                "dict(type='value', clip_value=…), or None. What is not finite is found in any case"
            )

    def apply(self, parameters: Parameters, norm: Tensor) -> None:
        """norm: of these parameters' gradients, by `total_norm`. Waits for no device."""
        if self.limit is None:
            return
        for alike in _alike(parameters):
            if self.by_value:
                clip_grad_value_(alike, self.limit, foreach=self.foreach)
            else:
                clip_grads_with_norm_(alike, self.limit, norm, foreach=self.foreach)


def with_gradient(groups: Iterable[Mapping[str, Any]]) -> Parameters:
    """Of an optimiser's param_groups, in their order."""
    return [parameter for group in groups for parameter in group["params"] if parameter.grad is not None]


def total_norm(parameters: Parameters, norm_type: float = 2.0, foreach: bool | None = None) -> Tensor:
    """parameters: at least one. Returns the norm of their gradients as one vector: a scalar tensor on their device, of
    sharded ones the same on all ranks."""
    norms = []
    for alike in _alike(parameters):
        norm = get_total_norm([p.grad for p in alike if p.grad is not None], norm_type, foreach=foreach)
        norms.append(norm.full_tensor() if hasattr(norm, "full_tensor") else norm)
    return norms[0] if len(norms) == 1 else torch.linalg.vector_norm(torch.stack(norms), norm_type)


def _alike(parameters: Parameters) -> list[Parameters]:
    """torch's multi-tensor functions take sharded tensors of one mesh, or whole ones, and not both at once."""
    groups: dict[Any, Parameters] = {}
    for parameter in parameters:
        groups.setdefault(getattr(parameter.grad, "device_mesh", None), []).append(parameter)
    return list(groups.values())
