"""Early signs of divergence, looked for while every number is finite still."""

from __future__ import annotations

import math
from typing import Any

from mmengine.hooks import Hook

from linearsr.core.engine.checkpoints.contents import unwrapped
from linearsr.core.engine.hooks.checkpoint import CheckpointHook
from linearsr.core.engine.optimisation.alarms import (
    denominator_alarm,
    growth,
    growth_alarm,
    largest,
    range_alarm,
    smallest,
    state_alarm,
)
from linearsr.core.engine.optimisation.divergence import raise_alarm
from linearsr.core.engine.optimisation.recent_range import RecentRange
from linearsr.core.engine.optimisation.vital_signs import query_key_norms, read_signs
from linearsr.core.errors import ConfigError
from linearsr.core.registries import HOOKS
from linearsr.core.values import require_count, require_positive

FLOAT16_LARGEST = 65504.0


@HOOKS.register_module()
class DivergenceGuard(Hook):
    """Raises an alarm for the run's DivergenceHook, which decides: the run ends, or goes back. Each limit may be None: off.

    After every step, before anything learns of it:
    loss, gradient: how far the loss, and the gradient's norm before clipping (with PrecisionOptimWrapper), may be above
                    their recent range, in deviations, see RecentRange: 10 are a factor of 2.7 at the least, 20 one
                    of 7.4. In the quickstart no loss was more than 3.0 above it, no gradient more than 6.4
    window, warmup: iterations (of the gradient, steps) that the range looks back over, and first ones of the run that it
                    leaves out, because losses fall and rates rise

    Every `interval` iterations, and where a checkpoint or validation is due, of the layers that can say it:
    growth:         |W_q| or |W_k| of a layer, by what it was at the start of the run or stage. Adam without decay grew a toy's
                    2.7-fold in 100,000 steps; at 10 the products of queries and keys are 100 times as large
    denominator:    the smallest denominator above 0 of an additive attention; at 1e-12 its eps of 1e-15 takes 0.1 % of a row
    state:          the largest entry of its state, a mean over tokens. 65504, the largest number of float16
    The latter two cost a forward pass of the batch without gradients, outside the compiled blocks.

    Publishes train/qk_growth, train/min_denominator and train/max_state: the largest, smallest and largest of all layers.
    What it remembers is in the checkpoints: a run that is resumed or goes back has the range and the first norms of then.
    """

    priority = "VERY_HIGH"

    def __init__(
        self,
        loss: float | None = 10.0,
        gradient: float | None = 20.0,
        window: int = 50,
        warmup: int = 100,
        growth: float | None = 10.0,
        denominator: float | None = 1e-12,
        state: float | None = FLOAT16_LARGEST,
        interval: int = 50,
    ):
        limits = {"loss": loss, "gradient": gradient, "growth": growth, "denominator": denominator, "state": state}
        self.limits = {
            name: require_positive(limit, f"DivergenceGuard.{name}") for name, limit in limits.items() if limit is not None
        }
        if self.limits.get("growth", 2.0) <= 1:
            raise ConfigError(
                f"DivergenceGuard.growth is {growth}; wanted a factor above 1, or None; change DivergenceGuard.growth"
            )
        self.window = require_count(window, "DivergenceGuard.window", at_least=10)  # a median deviation of fewer says little
        self.warmup = require_count(warmup, "DivergenceGuard.warmup", at_least=0)
        self.interval = require_count(interval, "DivergenceGuard.interval")
        self.ranges = {name: RecentRange(self.window) for name in ("loss", "gradient")}
        self.norms: dict[str, list[float]] = {}
        """Of each layer at the start, |W_q| and |W_k|."""
        self._steps = 0  # that the optimiser had taken

    def before_train(self, runner: Any) -> None:
        self._steps = getattr(runner.optim_wrapper, "steps", 0)
        if "growth" in self.limits and not self.norms:
            self.norms = query_key_norms(unwrapped(runner.model))

    def after_train_step(self, runner: Any, data_batch: Any, outputs: dict[str, Any]) -> None:
        """Called by TrainLoop. Raises Diverged on all ranks."""
        figures = self._figures(runner, outputs)
        raise_alarm(*(range_alarm(name, value, self.ranges[name], self.limits[name]) for name, value in figures.items()))
        if runner.iter + 1 > self.warmup:
            for name, value in figures.items():
                self.ranges[name].add(value)
        if self._due(runner):
            self._read(runner, data_batch)

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        ranges = {name: list(known.values) for name, known in self.ranges.items()}
        checkpoint["divergence_guard"] = {"norms": self.norms, "ranges": ranges}

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        saved = checkpoint.get("divergence_guard", {"norms": self.norms, "ranges": {}})
        self.norms = saved["norms"] or self.norms  # that run may have had no limit of growth
        self.ranges = {name: RecentRange(self.window, saved["ranges"].get(name, ())) for name in self.ranges}

    def _figures(self, runner: Any, outputs: dict[str, Any]) -> dict[str, float]:
        """Of this step, by the name of the limit; the gradient's norm where a step of the optimiser was taken."""
        steps, before = getattr(runner.optim_wrapper, "steps", 0), self._steps
        self._steps = steps
        found = {"loss": float(outputs["loss"].detach())}
        if steps != before:
            found["gradient"] = float(runner.message_hub.get_scalar("train/grad_norm").current())
        return {name: value for name, value in found.items() if name in self.limits}

    def _due(self, runner: Any) -> bool:
        """Also before weights are saved: no checkpoint is written that a sign speaks against."""
        done = runner.iter + 1
        saving = next(hook for hook in runner.hooks if isinstance(hook, CheckpointHook)).interval
        regular = done % self.interval == 0 or done % saving == 0 or done == runner.max_iters
        return regular or bool(runner.train_loop.validates_after(done))

    def _read(self, runner: Any, batch: Any) -> None:
        """Raises Diverged."""
        model, limits, alarms = unwrapped(runner.model), self.limits, []
        if "growth" in limits and (grown := growth(query_key_norms(model), self.norms)):
            _publish(runner, "qk_growth", largest(grown)[1])
            alarms.append(growth_alarm(grown, limits["growth"]))
        signs = read_signs(model, batch, runner.optim_wrapper) if {"denominator", "state"} & limits.keys() else {}
        if "denominator" in limits and (low := {name: low for name, (low, _) in signs.items() if low != math.inf}):
            _publish(runner, "min_denominator", smallest(low)[1])
            alarms.append(denominator_alarm(low, limits["denominator"]))
        if "state" in limits and (high := {name: high for name, (_, high) in signs.items()}):
            _publish(runner, "max_state", largest(high)[1])
            alarms.append(state_alarm(high, limits["state"]))
        raise_alarm(*alarms)


def _publish(runner: Any, name: str, figure: float) -> None:
    """Logs show means over a window; that of a single value is the value."""
    runner.message_hub.log_scalars.pop(f"train/{name}", None)
    runner.message_hub.update_scalar(f"train/{name}", figure)
