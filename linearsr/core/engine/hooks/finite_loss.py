"""A loss or a weight that is no longer finite ends the run before anything of it is saved."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.dist import all_reduce, get_rank
from mmengine.hooks import Hook

from linearsr.core.errors import DivergenceError
from linearsr.core.registries import HOOKS

ADVICE = "resume from the last checkpoint with a lower optim_wrapper.optimizer.lr or a lower clip_grad.max_norm"


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Looks at the loss of every iteration, on all ranks, and at every weight before it is saved.

    A gradient that is not finite spoils the weights one iteration before the loss shows it; a checkpoint of that
    iteration is not written. Raises DivergenceError, so that the run leaves with rc ≠ 0.
    """

    priority = "VERY_HIGH"

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        loss = (outputs or {})["loss"].detach()
        bad = (~torch.isfinite(loss).all()).float().reshape(1)
        all_reduce(bad)
        if bad.item():
            where = f"iteration {runner.iter + 1} (rank {get_rank()} has {loss.item()})"
            raise DivergenceError(f"the loss is not finite at {where}; nothing of this iteration was saved; {ADVICE}")

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        for name, weight in checkpoint["state_dict"].items():
            if weight.is_floating_point() and not torch.isfinite(weight).all():
                raise DivergenceError(
                    f"{name} is not finite after iteration {runner.iter + 1}; no checkpoint of it was written; {ADVICE}"
                )
