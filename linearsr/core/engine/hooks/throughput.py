"""How fast a run trains, and how much of its time it waits for data."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

from mmengine.hooks import Hook

from linearsr.core.errors import ConfigError
from linearsr.core.registries import HOOKS

SPEED, DATA_SHARE = "train/samples_per_second", "train/data_share"
"""In the message hub."""


@HOOKS.register_module()
class ThroughputHook(Hook):
    """`train/samples_per_second`, of all ranks together, and `train/data_share`, in the message hub after every iteration.

    window: iterations that both look back over.
    Wall time counts from the end of one iteration to that of the next, with its hooks and checkpoints, without validations.
    data_share is the part of it, 0..1, spent waiting for the batch: near 0 the workers keep up. A log line shows the figures
    up to the iteration before its own, whose hooks are still at work.
    """

    priority = (
        "LOWEST"  # a checkpoint that is written after the step belongs to the iteration, not to the wait for the next batch
    )

    def __init__(self, window: int = 50):
        if window < 1:
            raise ConfigError(f"ThroughputHook: window is {window}; wanted ≥ 1 iterations")
        self.times: deque[tuple[float, float]] = deque(maxlen=window)
        """(seconds of an iteration, seconds of it that were spent waiting for the batch)"""
        self.began = self.waited = 0.0

    def before_train(self, runner: Any) -> None:
        self.times.clear()
        for name in (SPEED, DATA_SHARE):  # of the process, and perhaps the machine, that wrote the checkpoint
            runner.message_hub.log_scalars.pop(name, None)
        self.began = time.perf_counter()

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        self.waited = time.perf_counter() - self.began

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        now = time.perf_counter()
        self.times.append((now - self.began, self.waited))
        self.began = now
        seconds, waited = (sum(column) for column in zip(*self.times, strict=True))
        samples = len(self.times) * int(runner.train_dataloader.batch_size) * runner.world_size
        runner.message_hub.update_scalar(SPEED, samples / seconds)
        runner.message_hub.update_scalar(DATA_SHARE, waited / seconds)

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        self.began = time.perf_counter()
