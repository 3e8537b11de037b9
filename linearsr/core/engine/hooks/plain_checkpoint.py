"""Checkpoints of plain types, so that `torch.load(weights_only=True)` reads them without an allow-list."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.logging import HistoryBuffer

from linearsr.core.registries import HOOKS


@HOOKS.register_module()
class PlainCheckpointHook(Hook):
    """mmengine puts HistoryBuffer and numpy objects into a checkpoint, which torch ≥ 2.6 refuses to unpickle.

    keep: how many of the last values of each logged scalar a checkpoint carries; mmengine's running averages look back
    no further than its window, and all of them would make every checkpoint longer than the last.
    Paths of other checkpoints are those of the run's own folder again after loading: a copied run touches no other.
    """

    priority = "LOWEST"  # after the EMA hook has put its weights in, before mmengine writes

    def __init__(self, keep: int = 2000):
        self.keep = keep

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        hub = checkpoint["message_hub"]
        hub["log_scalars"] = {name: self._tensors(buffer) for name, buffer in hub["log_scalars"].items()}
        checkpoint.update(plain(checkpoint))

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        hub = checkpoint.get("message_hub", {})
        for name, value in hub.get("runtime_info", {}).items():
            if name.startswith(("best_ckpt", "last_ckpt")) and isinstance(value, str):
                hub["runtime_info"][name] = str(Path(runner.work_dir) / Path(value).name)
        scalars = hub.get("log_scalars", {})
        for name, saved in scalars.items():
            scalars[name] = HistoryBuffer(saved["values"].cpu().numpy(), saved["counts"].cpu().numpy())

    def _tensors(self, buffer: HistoryBuffer) -> dict[str, torch.Tensor]:
        values, counts = (np.array(part[-self.keep :]) for part in buffer.data)
        return {"values": torch.from_numpy(values), "counts": torch.from_numpy(counts)}


def plain(value: Any) -> Any:
    """The same value in dict, list, tuple, str, numbers, None and tensors."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        items = [plain(item) for item in value]
        return items if isinstance(value, list) else tuple(items)
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value.copy())
    return value.item() if isinstance(value, np.generic) else value
