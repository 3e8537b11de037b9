"""One step of the optimiser: precision, accumulation, clipping, and no step where a number is not finite."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from torch import Tensor, nn
from torch.optim import Optimizer

from linearsr.core.engine.optimisation.divergence import Diverged, Look, look
from linearsr.core.engine.optimisation.gradients import Clipping, total_norm, with_gradient
from linearsr.core.engine.optimisation.precision import Precision
from linearsr.core.errors import ConfigError
from linearsr.core.registries import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class PrecisionOptimWrapper(OptimWrapper):
    """mmengine's OptimWrapper on CPU and CUDA in three precisions. In float32 its numbers are those of mmengine's.

    optimizer:           described in the config as dict(type=…)
    dtype:               "float32", "bfloat16" or "float16" of matrix products in training; weights stay float32, and so does
                         validation
    accumulative_counts: batches whose mean gradient makes one step, ≥ 1; ranks exchange gradients at the last of them alone
    clip_grad:           dict(max_norm=…, norm_type=2), dict(type="value", clip_value=…) or None
    loss_scale:          for float16: init_scale (65536), growth_factor (2), backoff_factor (0.5), growth_interval (2000) of
                         torch.amp.GradScaler, and min_scale (1), at which an overflow counts as divergence

    Every iteration looks at the loss, and every step at the norm of the gradient, on all ranks before the weights change;
    raises Diverged. The overflows of float16 are the scale's business: no step, a lower scale, counted in the message hub's
    `overflows`. Publishes train/grad_norm, before clipping, with each step, and train/loss_scale for float16.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        dtype: str = "float32",
        accumulative_counts: int = 1,
        clip_grad: Mapping[str, Any] | None = None,
        loss_scale: Mapping[str, Any] | None = None,
    ):
        if isinstance(accumulative_counts, bool) or not isinstance(accumulative_counts, int) or accumulative_counts < 1:
            raise ConfigError(f"optim_wrapper.accumulative_counts is {accumulative_counts!r}; wanted a whole number ≥ 1")
        super().__init__(optimizer, accumulative_counts)
        self.clipping = Clipping(clip_grad)
        self.precision = Precision(dtype, loss_scale, optimizer.param_groups[0]["params"][0].device)
        self.steps = 0
        """Taken by this process."""
        self._pending = 0  # batches since the last step
        self._spoiled = False  # one of them must not count

    def at_boundary(self) -> bool:
        """Whether no gradients wait for a step, so that a checkpoint loses nothing."""
        return self._pending == 0

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        with super().optim_context(model), self.precision.autocast():
            yield

    def update_params(
        self, loss: Tensor, step_kwargs: dict[str, Any] | None = None, zero_kwargs: dict[str, Any] | None = None
    ) -> None:
        """loss: scalar, the mean over this rank's batch. Raises Diverged on all ranks; then `abandon` must follow."""
        self.backward(self.scale_loss(loss))
        due = self.should_update()
        stepping = due and not self._spoiled
        if stepping and self.precision.scaler is not None:
            self.precision.scaler.unscale_(self.optimizer)
        parameters = with_gradient(self.optimizer.param_groups) if stepping else []
        norm = total_norm(parameters, self.clipping.norm_type, self.clipping.foreach) if parameters else loss.new_zeros(())
        seen = look(loss, norm, self._scale_of(loss))
        if seen.bad_loss:
            raise Diverged("loss", seen.loss, seen.bad_loss_here)
        if stepping and seen.bad_gradient:
            self._refuse(seen)
        elif stepping:
            self._publish("grad_norm", seen.norm)
            self.clipping.apply(parameters, norm)
            self.step(**(step_kwargs or {}))
        if stepping and self.precision.scaler is not None:
            self._publish("loss_scale", seen.scale)
            self.precision.scaler.update()
        if due:
            self._begin_anew(**(zero_kwargs or {}))

    def step(self, **kwargs: Any) -> None:
        """The optimiser's alone: what is clipped has been looked at before."""
        self.optimizer.step(**kwargs)
        self.steps += 1

    def backward(self, loss: Tensor, **kwargs: Any) -> None:
        scaler = self.precision.scaler
        super().backward(loss if scaler is None else scaler.scale(loss), **kwargs)
        self._pending += 1

    def abandon(self) -> None:
        """After Diverged: the step that this batch belongs to is not taken. The batches that it still waits for are not
        used either, so that no step is made of fewer than the others."""
        due = self.should_update()
        scaler = self.precision.scaler
        if scaler is not None:
            scaler.update(scaler.get_scale())  # forgets what was unscaled; the scale is not to blame
        self._begin_anew()
        if not due:
            self._pending, self._spoiled = 1, True

    def initialize_count_status(self, model: nn.Module, init_counts: int, max_counts: int) -> None:
        """As mmengine's; called when a run begins and when it goes back."""
        super().initialize_count_status(model, init_counts, max_counts)
        # mmengine's schedules warn if they move before the first step, as they must where it gathers batches or is skipped
        self._global_step = max(0, getattr(self, "_global_step", 0))
        self._begin_anew()

    def state_dict(self) -> dict[str, Any]:
        """The optimiser's, and `loss_scaler` for float16, in plain types."""
        state: dict[str, Any] = super().state_dict()
        scaler = self.precision.scaler
        return state if scaler is None else state | {"loss_scaler": scaler.state_dict()}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """A run may go on in another precision: a scale that it has no use for is passed over, one that it lacks is new."""
        state = dict(state_dict)
        scale = state.pop("loss_scaler", None)
        if scale is not None and self.precision.scaler is not None:
            self.precision.scaler.load_state_dict(scale)
        super().load_state_dict(state)

    def _begin_anew(self, **zero_kwargs: Any) -> None:
        self.zero_grad(**zero_kwargs)
        self._pending, self._spoiled = 0, False

    def _refuse(self, seen: Look) -> None:
        """Of float16 an overflow is expected, and mended by the scaler, as long as the scale can be lowered."""
        scaler = self.precision.scaler
        if scaler is None:
            raise Diverged("gradient", seen.norm, here=True)
        if seen.scale <= self.precision.min_scale:
            raise Diverged("gradient", seen.norm, here=True, note=f" at a loss scale of {seen.scale:g}")
        self.message_hub.update_info("overflows", self.message_hub.get_info("overflows", 0) + 1)

    def _scale_of(self, loss: Tensor) -> Tensor:
        one = torch.ones((), device=loss.device)
        return one if self.precision.scaler is None else self.precision.scaler.scale(one)

    def _publish(self, name: str, value: float) -> None:
        self.message_hub.update_scalar(f"train/{name}", value)
