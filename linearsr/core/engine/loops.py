"""Validation and test at one or several numbers of sampling steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmengine.runner import TestLoop, ValLoop
from torch.utils.data import DataLoader

from linearsr.core.errors import ConfigError
from linearsr.core.registries import LOOPS


@LOOPS.register_module()
class RestoreValLoop(ValLoop):
    """mmengine's ValLoop over every picture at each of num_steps; the first is what "best" and knee metrics name."""

    def __init__(self, runner: Any, dataloader: DataLoader | dict, evaluator: Any, num_steps: Sequence[int] | int = (1,)):
        super().__init__(runner, dataloader, evaluator)
        self.num_steps = checked_steps(num_steps, "val_cfg.num_steps")

    def run(self) -> dict[str, float]:
        return _restore_all(self, "val", self.num_steps)


@LOOPS.register_module()
class RestoreTestLoop(TestLoop):
    """mmengine's TestLoop over every picture at each of num_steps."""

    def __init__(self, runner: Any, dataloader: DataLoader | dict, evaluator: Any, num_steps: Sequence[int] | int = (1,)):
        super().__init__(runner, dataloader, evaluator)
        self.num_steps = checked_steps(num_steps, "test_cfg.num_steps")

    def run(self) -> dict[str, float]:
        return _restore_all(self, "test", self.num_steps)


def _restore_all(loop: Any, phase: str, num_steps: Sequence[int]) -> dict[str, float]:
    hook = loop.runner.call_hook
    hook(f"before_{phase}")
    hook(f"before_{phase}_epoch")
    loop.runner.model.eval()
    for number, steps in enumerate(num_steps):
        for index, batch in enumerate(loop.dataloader):
            loop.run_iter(number * len(loop.dataloader) + index, {**batch, "num_steps": steps})
    metrics: dict[str, float] = loop.evaluator.evaluate(len(loop.dataloader.dataset))
    hook(f"after_{phase}_epoch", metrics=metrics)
    hook(f"after_{phase}")
    return metrics


def checked_steps(num_steps: Sequence[int] | int, key: str) -> tuple[int, ...]:
    """Raises ConfigError, which names `key`."""
    steps = (num_steps,) if isinstance(num_steps, int) else tuple(num_steps)
    if not steps or any(not isinstance(n, int) or n < 1 for n in steps) or len(set(steps)) < len(steps):
        raise ConfigError(f"{key} is {num_steps!r}; wanted different whole numbers ≥ 1, such as [1, 4]")
    return steps
