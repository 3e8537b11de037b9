"""What each expert of a mixture got of a training run."""

from __future__ import annotations

from collections import deque
from typing import Any

import torch
from mmengine.hooks import Hook
from torch import Tensor, nn
from torch.nn.utils import get_total_norm
from torch.utils.hooks import RemovableHandle

from linearsr.core.engine.checkpoints.contents import unwrapped
from linearsr.core.errors import ConfigError
from linearsr.core.registries import HOOKS


@HOOKS.register_module()
class ExpertLogHook(Hook):
    """`train/expert_k/share`, `…/loss` and `…/grad_norm` in the message hub, of all ranks together, for each expert k.

    share:     of the pictures of the last `window` iterations
    loss:      mean error of its pictures, before loss weights; noted where it had any, and its mean is over pictures
    grad_norm: of its own weights, as the optimiser gets it, after clipping; `train/trunk/grad_norm` of what they share. Noted
               in steps that it had a part in. Squares of all together are at most the square of clip_grad.max_norm

    Raises ConfigError at the start of a run whose denoiser has no experts.
    """

    priority = "HIGHEST"  # it takes the raw figures out of the outputs before RuntimeInfoHook logs them

    def __init__(self, window: int = 50):
        if window < 1:
            raise ConfigError(f"ExpertLogHook: window is {window}; wanted ≥ 1 iterations")
        self.shares: deque[list[float]] = deque(maxlen=window)
        self.parts: dict[str, nn.Module] = {}
        self.norms: dict[str, Tensor] = {}
        self.handle: RemovableHandle | None = None

    def before_train(self, runner: Any) -> None:
        denoiser: Any = getattr(unwrapped(runner.model), "denoiser", None)
        if not hasattr(denoiser, "experts"):
            raise ConfigError("ExpertLogHook: model.denoiser has no experts; take the hook out of custom_hooks")
        self.shares.clear()
        self.parts = {f"expert_{k}": expert for k, expert in enumerate(denoiser.experts)}
        if getattr(denoiser, "trunk", None) is not None:
            self.parts["trunk"] = denoiser.trunk
        self.handle = runner.optim_wrapper.optimizer.register_step_pre_hook(self._measure)

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        self._publish_norms(runner.message_hub)
        if outputs is None:  # a step that diverged and was skipped
            return
        experts = [name for name in self.parts if name != "trunk"]
        raw = [outputs.pop(f"{name}/{what}") for what in ("share", "error") for name in experts]
        shares, errors = torch.stack(raw).view(2, -1).tolist()
        self.shares.append(shares)
        pictures = int(runner.train_dataloader.batch_size) * runner.world_size
        for k, name in enumerate(experts):
            mean = sum(row[k] for row in self.shares) / len(self.shares)
            runner.message_hub.update_scalar(f"train/{name}/share", mean)
            if count := round(shares[k] * pictures):
                # a buffer's mean is its sum over its counts: every picture counts alike, whatever batch it was in
                runner.message_hub.update_scalar(f"train/{name}/loss", errors[k] * pictures, count)

    def after_train(self, runner: Any) -> None:
        if self.handle is not None:
            self.handle.remove()

    def _measure(self, optimizer: Any, *_: Any) -> None:
        """Just before a step: gradients are whole, of all ranks, unscaled and clipped."""
        self.norms = {}
        for name, part in self.parts.items():
            if gradients := [parameter.grad for parameter in part.parameters() if parameter.grad is not None]:
                self.norms[name] = get_total_norm(gradients)

    def _publish_norms(self, hub: Any) -> None:
        if self.norms:
            for name, norm in zip(self.norms, torch.stack(list(self.norms.values())).tolist(), strict=True):
                hub.update_scalar(f"train/{name}/grad_norm", norm)
        self.norms = {}
