"""Training pictures that could not be read: counted, named, and too many of them end the run."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from mmengine.dist import all_gather_object, all_reduce, get_world_size
from mmengine.hooks import Hook

from linearsr.core.data.file_checks import LOST_LIMIT
from linearsr.core.errors import ConfigError, DataError
from linearsr.core.registries import HOOKS

KEY = "lost_samples"
"""In the message hub's runtime info, which checkpoints hold: draws, and how often each file was lost and why."""
SHOWN = 5


@HOOKS.register_module()
class LostSamplesHook(Hook):
    """Takes `lost` out of each training batch, warns once per file, and raises DataError where more than `limit` is lost.

    limit: share of the run's draws, of all ranks, that may be replaced; 0 stops at the first. least: a shorter run so far
    counts as this many draws, so that an early loss is not taken for a large share. interval: iterations between two
    counts where there are several ranks; one rank counts at once.
    """

    priority = "VERY_HIGH"

    def __init__(self, limit: float = LOST_LIMIT, least: int = 1000, interval: int = 50):
        if not 0 <= limit <= 1:
            raise ConfigError(f"LostSamplesHook: limit is {limit}; wanted a share between 0 and 1")
        if interval < 1:
            raise ConfigError(f"LostSamplesHook: interval is {interval}; wanted a whole number of iterations ≥ 1")
        self.limit, self.least, self.interval = limit, least, interval
        self.fresh: list[tuple[str, str]] = []  # of this rank, not counted yet
        self.warned: set[str] = set()

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        self.fresh += data_batch.pop("lost", [])
        _count(runner)["draws"] += int(runner.train_dataloader.batch_size) * get_world_size()

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        if get_world_size() == 1 or (runner.iter + 1) % self.interval == 0:
            self._settle(runner)
            self._refuse_too_many(_count(runner))

    def after_train(self, runner: Any) -> None:
        self._settle(runner)
        count = _count(runner)
        self._refuse_too_many(count)
        if count["files"]:
            runner.logger.warning(_summary(count))

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        self._settle(runner)
        checkpoint["message_hub"]["runtime_info"][KEY] = copy.deepcopy(_count(runner))

    def _settle(self, runner: Any) -> None:
        """Every rank must call it. Names travel only when there are any."""
        number = torch.tensor([len(self.fresh)])
        all_reduce(number)
        if not number.item():
            return
        count = _count(runner)
        for file, reason in (entry for rank in all_gather_object(self.fresh) for entry in rank):
            count["files"][file] = count["files"].get(file, 0) + 1
            count["reasons"][file] = reason
            if file not in self.warned:
                runner.logger.warning(f"a training picture is lost and another takes its place: {reason}")
                self.warned.add(file)
        self.fresh = []

    def _refuse_too_many(self, count: Mapping[str, Any]) -> None:
        lost = sum(count["files"].values())
        if lost > self.limit * max(count["draws"], self.least):
            raise DataError(
                f"{_summary(count)}. That is more than the limit of {self.limit:.2%}: mend or remove the files and go on with "
                "--resume, or set default_hooks.lost_samples=dict(type='LostSamplesHook', limit=…)"
            )


def lost_limit(default_hooks: Mapping[str, Any] | None) -> float:
    """The limit that a config sets, for what looks at the files before there are hooks."""
    described = (default_hooks or {}).get(KEY) or {}
    return float(described.get("limit", LOST_LIMIT))


def _count(runner: Any) -> dict[str, Any]:
    """The run's own, which a checkpoint brings back: it is looked up anew each time."""
    hub = runner.message_hub
    if KEY not in hub.runtime_info:
        hub.update_info(KEY, {"draws": 0, "files": {}, "reasons": {}})
    found: dict[str, Any] = hub.runtime_info[KEY]
    return found


def _summary(count: Mapping[str, Any]) -> str:
    files = sorted(count["files"], key=lambda file: -count["files"][file])
    shown = "; ".join(f"{count['reasons'][file]} ({count['files'][file]}×)" for file in files[:SHOWN])
    more = f"; and {len(files) - SHOWN} more files" if len(files) > SHOWN else ""
    lost = sum(count["files"].values())
    return f"{lost} of {count['draws']} draws ({lost / count['draws']:.2%}) could not be read: {shown}{more}"
