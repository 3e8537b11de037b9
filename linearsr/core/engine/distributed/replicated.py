"""Data-parallel training: every rank has the whole model and its own pictures; gradients are averaged."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.dist import all_reduce, get_world_size
from mmengine.model import MMDistributedDataParallel
from torch import Tensor, nn

from linearsr.core.registries import MODEL_WRAPPERS


@MODEL_WRAPPERS.register_module()
class ReplicatedModel(MMDistributedDataParallel):
    """torch's DistributedDataParallel for mmengine's loops, on CUDA and on the CPU. The wrapper of a run that says nothing.

    module: supplied by the runner.
    find_unused_parameters: whether a step may leave weights without a gradient; None: only where the denoiser has experts,
    of which a step uses some. It costs a walk through the graph on each step.
    """

    def __init__(self, module: nn.Module, find_unused_parameters: bool | None = None):
        if find_unused_parameters is None:
            find_unused_parameters = any(hasattr(part, "router") for part in module.modules())
        warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")  # of depth-wise convolutions
        super().__init__(
            module,
            device_ids=[torch.cuda.current_device()] if get_device() == "cuda" else None,
            find_unused_parameters=find_unused_parameters,
        )

    def train_step(self, data: dict[str, Any], optim_wrapper: Any) -> dict[str, Tensor]:
        return mean_over_ranks(super().train_step(data, optim_wrapper))


def mean_over_ranks(losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What is logged is the global batch's, as one process would log it: ranks have equally many pictures."""
    names = sorted(losses)
    if get_world_size() == 1 or not names:
        return dict(losses)
    together = torch.stack([losses[name].detach().double() for name in names])
    all_reduce(together)
    together /= get_world_size()
    return {name: value.to(losses[name].dtype) for name, value in zip(names, together, strict=True)}
