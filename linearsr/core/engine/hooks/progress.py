"""How far a run is and how long it will take: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.logging import MessageHub
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from torch import Tensor

from linearsr.core.engine.hooks.throughput import SPEED
from linearsr.core.registries import HOOKS


class Meter:
    """Remaining time = wall time so far, with validations and checkpoints, over the work done, times the work left."""

    def __init__(self, title: str, total: int, done: int, console: Console, line_seconds: float):
        self.title, self.total, self.first = title, total, done
        self.console, self.line_seconds = console, line_seconds
        self.start = self.last_line = time.monotonic()
        columns = (TextColumn(title), BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        self.bar = Progress(*columns, console=console)
        self.task = self.bar.add_task("", total=total, completed=done)
        if console.is_terminal:
            self.bar.start()

    def due(self, done: int) -> bool:
        """Whether to say something now; between, nothing is read back from the device."""
        pause = 0.25 if self.console.is_terminal else self.line_seconds
        return done == self.total or time.monotonic() - self.last_line > pause

    def advance_to(self, done: int, note: str = "") -> None:
        if not self.due(done):
            return
        self.last_line = time.monotonic()
        left = int((time.monotonic() - self.start) / (done - self.first) * (self.total - done))
        line = f"{done}/{self.total}  {note}remaining {left // 3600}:{left // 60 % 60:02}:{left % 60:02}"
        if self.console.is_terminal:
            self.bar.update(self.task, completed=done, description=line)
        else:
            self.console.print(f"{self.title} {line}", highlight=False)

    def stop(self) -> None:
        if self.console.is_terminal:
            self.bar.stop()


@HOOKS.register_module()
class ProgressHook(Hook):
    """Progress, loss, samples per second and remaining time of training and testing, on the main process.

    line_seconds: time between lines where the output is not a terminal.
    """

    priority = "VERY_LOW"

    def __init__(self, line_seconds: float = 15.0):
        self.line_seconds = line_seconds
        self.console = Console(stderr=True, quiet=not is_main_process())
        self.loss: Tensor | None = None  # running mean; stays on the device

    def before_train(self, runner: Any) -> None:
        self.meter = Meter("training", runner.max_iters, runner.iter, self.console, self.line_seconds)

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        if outputs is not None:  # a step that diverged and was skipped has none
            loss = outputs["loss"].detach()
            self.loss = loss if self.loss is None else 0.98 * self.loss + 0.02 * loss
        if self.meter.due(runner.iter + 1):
            loss_so_far = "" if self.loss is None else f"loss {self.loss.item():.4f}  "
            self.meter.advance_to(runner.iter + 1, loss_so_far + _speed(runner.message_hub))

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        found = metrics or {}
        over_all = {name: value for name, value in found.items() if "/" not in name} or found
        shown = ", ".join(f"{name} {value:.4g}" for name, value in over_all.items())
        self.console.print(f"validation at iteration {runner.iter}: {shown}", highlight=False)

    def after_train(self, runner: Any) -> None:
        self.meter.stop()

    def tidy_up(self) -> None:
        """The terminal gets its cursor back; also when the run ends by an error."""
        if hasattr(self, "meter"):
            self.meter.stop()

    def before_test(self, runner: Any) -> None:
        passes = len(getattr(runner.test_loop, "num_steps", (1,)))
        self.meter = Meter("testing", passes * len(runner.test_dataloader), 0, self.console, self.line_seconds)

    def after_test_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        self.meter.advance_to(batch_idx + 1)

    def after_test(self, runner: Any) -> None:
        self.meter.stop()


def _speed(hub: MessageHub) -> str:
    """What ThroughputHook has found so far, if there is one."""
    found = hub.log_scalars.get(SPEED)
    return "" if found is None else f"{found.current():.3g} samples/s  "
