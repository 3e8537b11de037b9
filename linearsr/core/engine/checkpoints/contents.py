"""What a checkpoint holds, in plain types: everything that the run needs to go on as if it had not been interrupted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mmengine
import numpy as np
import torch
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.model import is_model_wrapper
from torch import Tensor, nn

from linearsr.core.engine.checkpoints.random_state import gather_random_state
from linearsr.core.engine.distributed import whole

KEPT_VALUES = 2000
"""Of each logged scalar. mmengine's running means look back no further than their window; without a bound every
update would cost, and every checkpoint be longer than, the one before."""


def collect(runner: Any, name: str, iteration: int, *, optimizer: bool) -> dict[str, Any]:
    """meta, state_dict, message_hub, random_state and, if `optimizer`, optimizer and param_schedulers. name: of the file.

    Every rank must call it: states are gathered. Hooks add their own (EMA puts its weights in `state_dict`).
    """
    trim(runner.message_hub)
    checkpoint: dict[str, Any] = {
        "meta": {
            "file": name,
            "iter": iteration,
            "epoch": 0,
            "position": runner.train_loop.position,
            "seed": runner.seed,
            "cfg": runner.cfg.pretty_text,
            "experiment_name": runner.experiment_name,
            "mmengine_version": mmengine.__version__,
        },
        "state_dict": unwrapped(runner.model).state_dict(),
        "message_hub": runner.message_hub.state_dict(),
        "random_state": gather_random_state(),
    }
    if optimizer:
        checkpoint["optimizer"] = runner.optim_wrapper.state_dict()
        checkpoint["param_schedulers"] = [scheduler.state_dict() for scheduler in runner.param_schedulers or ()]
    runner.call_hook("before_save_checkpoint", checkpoint=checkpoint)
    hub = checkpoint["message_hub"]
    hub["resumed_keys"] = {name: True for name, kept in hub["resumed_keys"].items() if kept}  # it warns of the others
    hub["log_scalars"] = {name: _tensors(buffer) for name, buffer in hub["log_scalars"].items()}
    result: dict[str, Any] = plain(checkpoint)
    return result


def unwrapped(model: nn.Module) -> nn.Module:
    """The model inside mmengine's data-parallel wrapper."""
    return model.module if is_model_wrapper(model) else model  # type: ignore[return-value]


def revive(hub: Mapping[str, Any]) -> dict[str, Any]:
    """A message hub's saved state as mmengine wants it back."""
    buffers = {
        name: HistoryBuffer(saved["values"].cpu().numpy(), saved["counts"].cpu().numpy(), max_length=KEPT_VALUES)
        for name, saved in hub["log_scalars"].items()
    }
    return {**hub, "log_scalars": buffers}


def trim(hub: MessageHub) -> None:
    """mmengine's buffers hold a million values and copy them all at every update."""
    for buffer in hub.log_scalars.values():
        buffer.max_length = KEPT_VALUES


def plain(value: Any) -> Any:
    """The same value in dict, list, tuple, str, numbers, None and tensors on the CPU."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        items = [plain(item) for item in value]
        return items if isinstance(value, list) else tuple(items)
    if isinstance(value, Tensor):
        return whole(value.detach()).cpu()
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value.copy())
    if isinstance(value, Path):
        return str(value)
    return value.item() if isinstance(value, np.generic) else value


def _tensors(buffer: HistoryBuffer) -> dict[str, Tensor]:
    values, counts = (np.array(part[-KEPT_VALUES:]) for part in buffer.data)
    return {"values": torch.from_numpy(values), "counts": torch.from_numpy(counts)}
