"""A run that diverges goes back to its knee rather than to its last checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from linearsr.core.engine.hooks.divergence import RollBackOnDivergence
from linearsr.core.engine.hooks.knee import KneeHook
from linearsr.core.engine.optimisation.blame import Cause
from linearsr.core.errors import ConfigError
from linearsr.core.registries import HOOKS


@HOOKS.register_module()
class RollBackToKnee(RollBackOnDivergence):
    """Where the knee is confirmed the run ends there; before, it goes back to the best candidate, with a lower learning rate.

    Without one yet it does as RollBackOnDivergence, whose options it has. Needs a KneeHook with optimizer=True.
    """

    def check(self, runner: Any) -> None:
        """Of a run that is built and has not begun. Raises ConfigError."""
        if not any(isinstance(hook, KneeHook) and hook.optimizer for hook in runner.hooks):
            raise ConfigError(
                "RollBackToKnee needs a knee to go back to, with its optimiser: set "
                'default_hooks=dict(knee=dict(type="KneeHook", optimizer=True, knee=…))'
            )

    def decide(self, runner: Any, cause: Cause) -> bool:
        hook = next(hook for hook in runner.hooks if isinstance(hook, KneeHook))
        if hook.said.confirmed:
            runner.train_loop.stop_training = True
            runner.message_hub.update_info("ended", "divergence")
            runner.logger.warning(
                f"{cause.text}. The run ends at iteration {runner.iter}, with its knee, iteration {hook.said.knee_step}"
            )
            return False
        candidate = hook.candidate(Path(runner.work_dir))
        if candidate is not None:
            self.checkpoint = candidate
        return super().decide(runner, cause)
