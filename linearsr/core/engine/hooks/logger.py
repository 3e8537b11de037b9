"""What is logged, when, and at which step."""

from __future__ import annotations

import resource
import sys
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook

from linearsr.core.engine.logging import RunBackend
from linearsr.core.errors import ConfigError
from linearsr.core.registries import HOOKS


@HOOKS.register_module()
class LoggerHook(Hook):
    """Figures of training every `interval` iterations and after the last one, and those of every validation.

    They go to mmengine's log file and to every backend of the visualizer, under "train/…" and "val/…", at the number of
    iterations done. Of training: every "train/…" scalar of the message hub (loss and its parts, gradient norm, samples per
    second, seconds per iteration), the learning rate and the most memory in MiB: of the device since the last line, or where
    there is none of the process since it began. Losses and times are means over log_processor.window_size iterations.
    Takes the place of mmengine's hook of this name, which leaves the last iterations out and gives validation names that
    overwrite those of training.
    """

    priority = "BELOW_NORMAL"

    def __init__(self, interval: int = 50):
        if interval < 1:
            raise ConfigError(f"default_hooks.logger.interval is {interval}; wanted ≥ 1 iterations")
        self.interval = interval
        self.next = 0
        """The iteration expected; a lower one means that the run has gone back to a checkpoint."""

    def before_train(self, runner: Any) -> None:
        self.next = runner.iter
        _quieten(runner.param_schedulers)
        for backend in _backends(runner):
            backend.start(Path(runner.work_dir), runner.iter)

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        if runner.iter < self.next:
            for backend in _backends(runner):
                backend.go_back(runner.iter)
        self.next = runner.iter + 1

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        done = runner.iter + 1
        if done % self.interval and done != runner.max_iters:
            return
        figures, text = runner.log_processor.get_log_after_iter(runner, batch_idx, "train")
        runner.logger.info(text)
        figures.pop("iter")
        memory = figures.pop("memory", None)
        figures |= _learning_rates(runner.optim_wrapper) | {"memory_mb": _memory_of_process() if memory is None else memory}
        runner.visualizer.add_scalars(_named("train", figures), step=done)

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        figures, text = runner.log_processor.get_log_after_epoch(runner, len(runner.val_dataloader), "val")
        runner.logger.info(text)
        if runner._train_loop is not None:
            runner.visualizer.add_scalars(_measured(_named("val", figures), metrics or {}), step=runner.iter)

    def after_run(self, runner: Any) -> None:
        runner.visualizer.close()


def _backends(runner: Any) -> list[RunBackend]:
    """Ours, on the main process: the others know of no beginning."""
    backends = runner.visualizer._vis_backends.values() if is_main_process() else ()
    return [backend for backend in backends if isinstance(backend, RunBackend)]


def _quieten(schedulers: Any) -> None:
    """mmengine warns where a schedule's first step comes before the optimiser's. Schedules here count iterations, of which
    the first may be without a step: gradients accumulate, or a step is skipped."""
    for scheduler in schedulers if isinstance(schedulers, list) else ():
        scheduler.optimizer._global_step = max(0, scheduler.optimizer._global_step)


def _named(phase: str, figures: dict[str, Any]) -> dict[str, Any]:
    """As log_processor.log_with_hierarchy would, whether it is set or not."""
    return {f"{phase}/{name.removeprefix(f'{phase}/')}": value for name, value in figures.items()}


def _measured(figures: dict[str, Any], metrics: dict[str, Any]) -> dict[str, Any]:
    """Numbers of this validation alone. The log processor adds those of earlier ones, and averages over them what has "loss"
    or "time" in its name."""
    numbers = {f"val/{name}": value for name, value in metrics.items() if isinstance(value, int | float)}
    return {name: figures[name] for name in ("val/data_time", "val/time") if name in figures} | numbers


def _learning_rates(optim_wrapper: Any) -> dict[str, float]:
    """`lr` of the first parameter group, and `lr_group<i>` of the first one that began with another rate."""
    rates: dict[float, tuple[int, float]] = {}
    for index, group in enumerate(optim_wrapper.param_groups):
        rates.setdefault(float(group.get("initial_lr", group["lr"])), (index, float(group["lr"])))
    return {"lr" if index == 0 else f"lr_group{index}": rate for index, rate in rates.values()}


def _memory_of_process() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB; bytes on macOS
    return peak // (2**20 if sys.platform == "darwin" else 2**10)
