"""Training of a denoiser that is too large for one device: each rank keeps a piece of every large weight."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.dist import broadcast, get_world_size
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard

from linearsr.core.engine.distributed.replicated import mean_over_ranks
from linearsr.core.engine.distributed.states import load_whole_tensors
from linearsr.core.errors import ConfigError
from linearsr.core.registries import MODEL_WRAPPERS

UNITS = ("attention", "feed_forward", "cross_attention.query", "cross_attention.key_value", "cross_attention.proj")


@MODEL_WRAPPERS.register_module()
class ShardedModel(nn.Module):
    """`denoiser`'s weights, gradients and optimiser states cut into pieces, one for each rank (torch's fully_shard, FSDP2).

    A unit's weights are put together from all ranks while it works and are let go afterwards. What no unit holds (embeddings,
    tables, head) stays together from the start of a forward to the end of its backward.

    module: supplied by the runner; it has a `denoiser`, and nothing else of it is trained.
    units: ends of names of the denoiser's modules. Each must use its weights only when it is called.

    Raises ConfigError where other weights are trained, for experts (ranks that need different ones would wait for each other
    for ever) and for units that the denoiser does not have.
    """

    def __init__(self, module: nn.Module, units: Sequence[str] = UNITS):
        super().__init__()
        _check(module, units)
        for tensor in [*module.parameters(), *module.buffers()]:
            broadcast(tensor.data)  # each rank built its own; pieces must be of one model
        self.module = module
        template = copy.deepcopy(module).to("meta")
        mesh = init_device_mesh(get_device(), (get_world_size(),))
        _shard(module, units, mesh)
        _make_copyable(module, template, units, mesh)
        warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view")  # none of ours changes it in place

    def forward(self, *inputs: Any, **named: Any) -> Any:
        return self.module(*inputs, **named)

    def train_step(self, data: dict[str, Any], optim_wrapper: Any) -> dict[str, Tensor]:
        model: Any = self.module
        _denoiser(model).set_requires_gradient_sync(True)
        with optim_wrapper.optim_context(self):
            batch = model.data_preprocessor(data, True)
            losses = self(**batch, mode="loss")
        loss, logged = model.parse_losses(losses)
        optim_wrapper.update_params(loss)
        return mean_over_ranks(logged)

    def val_step(self, data: dict[str, Any]) -> Any:
        with self._together():
            return self.module.val_step(data)  # type: ignore[operator]

    def test_step(self, data: dict[str, Any]) -> Any:
        with self._together():
            return self.module.test_step(data)  # type: ignore[operator]

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """As DistributedDataParallel's: gradients of a forward in here are only gathered up, for a later step.

        torch asks for it in the backward, which runs outside: it holds until the next train_step.
        """
        _denoiser(self.module).set_requires_gradient_sync(False)
        yield

    @contextmanager
    def _together(self) -> Iterator[None]:
        """Sampling calls other methods of the denoiser than its forward, which would find its own weights in pieces."""
        denoiser = _denoiser(self.module)
        denoiser.unshard()
        try:
            yield
        finally:
            denoiser.reshard()


def _denoiser(module: nn.Module) -> FSDPModule:
    denoiser = module.denoiser
    assert isinstance(denoiser, FSDPModule)
    return denoiser


def _check(module: nn.Module, units: Sequence[str]) -> None:
    denoiser = getattr(module, "denoiser", None)
    if denoiser is None:
        raise ConfigError(f"ShardedModel cuts a model's denoiser; {type(module).__name__} has none")
    if any(hasattr(part, "router") for part in denoiser.modules()):
        raise ConfigError(
            f"{type(denoiser).__name__} routes each rank to experts of its own, and the pieces of an expert must come from all "
            'ranks at once; train its experts one by one, or set model_wrapper_cfg=dict(type="ReplicatedModel")'
        )
    if any(getattr(part, "tile", None) for part in denoiser.modules()):
        raise ConfigError("ShardedModel computes whole pictures only; set model.denoiser.tile=None")
    if any(getattr(part, "recorded", None) is not None for part in denoiser.modules()):
        raise ConfigError(
            "a CUDA graph needs weights that stay, and ShardedModel's come and go; set denoiser.cuda_graphs=False"
        )
    others = [name for name, p in module.named_parameters() if p.requires_grad and not name.startswith("denoiser.")]
    if others:
        raise ConfigError(
            f"ShardedModel trains the denoiser alone; {others[0]} ({len(others)} in all) is trained too: freeze it, or set "
            'model_wrapper_cfg=dict(type="ReplicatedModel")'
        )
    if not _units(denoiser, units):
        raise ConfigError(f"model_wrapper_cfg.units={list(units)}: {type(denoiser).__name__} has no module of such a name")


def _units(denoiser: nn.Module, units: Sequence[str]) -> list[nn.Module]:
    found = [part for name, part in denoiser.named_modules() if any(f".{name}".endswith(f".{unit}") for unit in units)]
    return [part for part in found if any(True for _ in part.parameters())]


def _shard(module: nn.Module, units: Sequence[str], mesh: DeviceMesh) -> None:
    denoiser: Any = module.denoiser
    for unit in _units(denoiser, units):
        fully_shard(unit, mesh=mesh)
    fully_shard(denoiser, mesh=mesh, reshard_after_forward=False)
    load_whole_tensors(module)


def _make_copyable(module: nn.Module, template: nn.Module, units: Sequence[str], mesh: DeviceMesh) -> None:
    """torch refuses to copy a module in pieces, and averaging needs a copy: made from an empty one, in pieces of its own.

    template: the module as it was, on the meta device.
    """

    def copied(memo: dict[int, Any]) -> nn.Module:
        twin = copy.deepcopy(template, memo)
        _shard(twin, units, mesh)
        twin.to_empty(device=get_device())
        with torch.no_grad():
            pairs = [
                *zip(twin.parameters(), module.parameters(), strict=True),
                *zip(twin.buffers(), module.buffers(), strict=True),
            ]
            for own, original in pairs:
                own.copy_(original)
        _make_copyable(twin, template, units, mesh)
        return twin.train(module.training)

    object.__setattr__(module, "__deepcopy__", copied)
