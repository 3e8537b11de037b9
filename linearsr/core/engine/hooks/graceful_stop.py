"""A run that is told to stop finishes its step, saves itself and says how to go on."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

import torch
from mmengine.dist import all_reduce, get_world_size
from mmengine.hooks import EMAHook, Hook

from linearsr.core.engine.hooks.checkpoint import CheckpointHook
from linearsr.core.engine.optimisation import PrecisionOptimWrapper
from linearsr.core.errors import ConfigError, StoppedBySignal
from linearsr.core.registries import HOOKS


@HOOKS.register_module()
class GracefulStopHook(Hook):
    """At SIGTERM, SIGUSR1 or Ctrl-C finishes the step, writes a checkpoint and raises StoppedBySignal.

    The first two are what Slurm and most clusters send before they take a machine away. Scripts leave with rc 75. A second
    signal of the same kind ends the process at once.

    signals: names; all ranks stop when one of them is told to.
    """

    priority = "LOWEST"  # after the checkpoint of this iteration, should one be due

    def __init__(self, signals: Sequence[str] = ("SIGTERM", "SIGUSR1", "SIGINT")):
        unknown = [name for name in signals if not hasattr(signal, name)]
        if unknown:
            raise ConfigError(f"GracefulStopHook: no signal is called {', '.join(unknown)}; wanted names such as SIGTERM")
        self.signals = [signal.Signals[name] for name in signals]
        self.told: int = 0
        self.before: dict[signal.Signals, Callable[[int, FrameType | None], Any] | int | None] = {}

    def before_train(self, runner: Any) -> None:
        if threading.current_thread() is not threading.main_thread():
            runner.logger.warning("training runs in a thread, where Python takes no signals: it cannot be stopped gracefully")
            return
        self.told = 0
        self.before = {number: signal.signal(number, self._note) for number in self.signals}

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        told = torch.tensor([self.told])
        all_reduce(told, op="max")
        done = runner.iter + 1
        if told.item() and done < runner.max_iters and between_steps(runner.optim_wrapper):
            checkpoints = _checkpoints(runner)
            if done % checkpoints.interval:
                checkpoints.save(runner, done)
            self._leave(runner, done, int(told.item()))

    def after_val_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """A validation may be longer than a cluster waits. Of several ranks none leaves alone: they go on to the end."""
        if self.told and get_world_size() == 1 and between_steps(runner.optim_wrapper):
            for hook in runner.hooks:
                if isinstance(hook, EMAHook):
                    hook.after_val_epoch(runner)  # takes the averaged weights out of the model again
            _checkpoints(runner).save(runner, runner.iter)
            self._leave(runner, runner.iter, self.told)

    def tidy_up(self) -> None:
        """Signals are whose they were before the training; also when it ends by an error."""
        for number, handler in self.before.items():
            signal.signal(number, handler)
        self.before = {}

    def _leave(self, runner: Any, iteration: int, number: int) -> None:
        name = signal.Signals(number).name
        raise StoppedBySignal(
            f"{name}: stopped at iteration {iteration}; it is saved in {runner.work_dir}: go on with --resume"
        )

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.told = max(self.told, number)
        signal.signal(number, self.before[signal.Signals(number)])


def between_steps(optim_wrapper: Any) -> bool:
    """Whether no gradients are waiting for a step."""
    if isinstance(optim_wrapper, PrecisionOptimWrapper):
        return optim_wrapper.at_boundary()
    return int(optim_wrapper._inner_count) % int(optim_wrapper._accumulative_counts) == 0


def _checkpoints(runner: Any) -> CheckpointHook:
    return next(hook for hook in runner.hooks if isinstance(hook, CheckpointHook))
