"""A checkpoint back into a runner."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from linearsr.core.engine.checkpoints.contents import revive, unwrapped
from linearsr.core.engine.checkpoints.files import read_checkpoint
from linearsr.core.engine.checkpoints.random_state import restore_random_state
from linearsr.core.engine.schedules import replay, replayable
from linearsr.core.weights import load_strict

Settings = list[dict[str, Any]]
"""Of each parameter group, without the parameters."""


def restore(runner: Any, path: Path, lr_scale: float | None = None) -> None:
    """Weights, averaged weights, optimiser, schedules, logs, counts, generators and the place in the data.

    lr_scale: what the config's learning rates are multiplied by; None: as they were when the checkpoint was written.
    Raises WeightsError for a file that does not belong to this run.
    """
    checkpoint = read_checkpoint(path)
    meta = checkpoint["meta"]
    runner._resume = True  # mmengine's EMA asks: else it would take the averaged weights for those that are trained
    runner.call_hook("after_load_checkpoint", checkpoint=checkpoint)  # EMA takes its weights out
    load_strict(unwrapped(runner.model), checkpoint["state_dict"], path)
    runner.train_loop.stand_at(meta["iter"], meta["position"])
    runner.message_hub.load_state_dict(revive(checkpoint["message_hub"]))
    then = checkpoint["message_hub"]["runtime_info"].get("lr_scale", 1.0)  # the hub keeps what the checkpoint lacks
    scale = then if lr_scale is None else lr_scale
    runner.message_hub.update_info("lr_scale", scale)
    _restore_optimizer(runner, checkpoint, scale)
    restore_random_state(checkpoint["random_state"], meta["iter"])


def group_settings(optim_wrapper: Any) -> Settings:
    return [{key: copy.deepcopy(value) for key, value in g.items() if key != "params"} for g in optim_wrapper.param_groups]


def _restore_optimizer(runner: Any, checkpoint: dict[str, Any], lr_scale: float) -> None:
    """Its state; and learning rates as the config's schedules have them at this iteration, so that a run which is resumed
    under another max_iters or rate follows its config. Schedules that look at more than the iteration are loaded as saved."""
    wrapper = runner.optim_wrapper
    _set_groups(wrapper, runner.unscheduled_settings, lr_scale)
    runner.param_schedulers = runner.schedule_settings and runner.build_param_scheduler(copy.deepcopy(runner.schedule_settings))
    schedulers, fresh = runner.param_schedulers or [], group_settings(wrapper)
    wrapper.load_state_dict(checkpoint["optimizer"])
    wrapper.initialize_count_status(runner.model, runner.iter, runner.max_iters)
    if replayable(schedulers, wrapper):
        replay(schedulers, wrapper, fresh, runner.iter, runner.epoch)
        return
    for scheduler, saved in zip(schedulers, checkpoint["param_schedulers"], strict=True):
        scheduler.load_state_dict(saved)


def _set_groups(wrapper: Any, settings: Settings, lr_scale: float) -> None:
    for group, values in zip(wrapper.param_groups, settings, strict=True):
        group.pop("initial_lr", None)  # the schedules read it where it is set
        group.update(values | {"lr": values["lr"] * lr_scale})
