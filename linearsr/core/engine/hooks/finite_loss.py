"""A loss that is no longer finite ends the run before anything of it is saved."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook

from linearsr.core.errors import DivergenceError
from linearsr.core.registries import HOOKS


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Looks at the loss of every iteration, on all ranks. Raises DivergenceError, so that the run leaves with rc ≠ 0."""

    priority = "VERY_HIGH"

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        loss = (outputs or {})["loss"].detach()
        bad = (~torch.isfinite(loss).all()).float().reshape(1)
        all_reduce(bad)
        if bad.item():
            raise DivergenceError(
                f"the loss is {loss.item()} at iteration {runner.iter + 1}; nothing of this iteration was saved. "
                "Resume from the last checkpoint with a lower optim_wrapper.optimizer.lr or a lower clip_grad.max_norm"
            )
