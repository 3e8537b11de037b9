"""Validation and test at one or several numbers of sampling steps, in a chosen dtype."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.runner import BaseLoop, TestLoop, ValLoop
from torch.utils.data import DataLoader

from linearsr.core.errors import ConfigError
from linearsr.core.registries import LOOPS
from linearsr.core.tensor_values import DTYPES, refuse_emulated, require_dtype


class _Restoring(BaseLoop):
    """Every picture at each of num_steps, instead of one pass over them. phase: "val" or "test"."""

    phase: str
    evaluator: Any

    def __init__(
        self,
        runner: Any,
        dataloader: DataLoader | dict,
        evaluator: Any,
        num_steps: Sequence[int] | int = (1,),
        dtype: str = "float32",
    ):
        super().__init__(runner, dataloader, evaluator)  # mmengine's ValLoop or TestLoop, which come next
        self.num_steps = checked_steps(num_steps, f"{self.phase}_cfg.num_steps")
        self.dtype = require_dtype(dtype, f"{self.phase}_cfg.dtype", DTYPES)
        self.device = torch.device(get_device())  # the runner's: some weights may wait elsewhere
        refuse_emulated(self.dtype, self.device, f"{self.phase}_cfg.dtype")

    def run(self) -> dict[str, float]:
        hook = self.runner.call_hook
        hook(f"before_{self.phase}")
        hook(f"before_{self.phase}_epoch")
        self.runner.model.eval()
        for number, steps in enumerate(self.num_steps):
            for index, batch in enumerate(self.dataloader):
                self.run_iter(number * len(self.dataloader) + index, {**batch, "num_steps": steps})
        metrics: dict[str, float] = self.evaluator.evaluate(len(self.dataloader.dataset))
        hook(f"after_{self.phase}_epoch", metrics=metrics)
        hook(f"after_{self.phase}")
        return metrics

    @torch.no_grad()
    def run_iter(self, idx: int, data_batch: Mapping[str, Any]) -> None:
        hook = self.runner.call_hook
        hook(f"before_{self.phase}_iter", batch_idx=idx, data_batch=data_batch)
        outputs = self.restored(data_batch)
        self.evaluator.process(data_samples=outputs, data_batch=data_batch)
        hook(f"after_{self.phase}_iter", batch_idx=idx, data_batch=data_batch, outputs=outputs)

    @torch.no_grad()
    def restored(self, batch: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Matrix products and convolutions run in `dtype` (autocast); weights, sums over tokens, norms and times do not."""
        with torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype is not torch.float32):
            found: list[dict[str, Any]] = getattr(self.runner.model, f"{self.phase}_step")(batch)
        return found


@LOOPS.register_module()
class RestoreValLoop(_Restoring, ValLoop):
    """mmengine's ValLoop at each of num_steps; the first is what "best" and knee metrics name.

    dtype: "float32", "bfloat16" or "float16": in which pictures are restored
    """

    phase = "val"


@LOOPS.register_module()
class RestoreTestLoop(_Restoring, TestLoop):
    """mmengine's TestLoop at each of num_steps.

    dtype: "float32", "bfloat16" or "float16": in which pictures are restored
    """

    phase = "test"


def checked_steps(num_steps: Sequence[int] | int, key: str) -> tuple[int, ...]:
    """Raises ConfigError, which names `key`."""
    steps = (num_steps,) if isinstance(num_steps, int) else tuple(num_steps)
    if not steps or any(not isinstance(n, int) or n < 1 for n in steps) or len(set(steps)) < len(steps):
        raise ConfigError(f"{key} is {num_steps!r}; wanted different whole numbers ≥ 1, such as [1, 4]")
    return steps
