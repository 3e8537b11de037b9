"""What happens to a run that diverges, or is about to: it stops, skips the step, or goes back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook

from linearsr.core.engine.checkpoints import checkpoint_name
from linearsr.core.engine.checkpoints.contents import unwrapped
from linearsr.core.engine.hooks.checkpoint import CheckpointHook
from linearsr.core.engine.hooks.divergence_report import note_divergence
from linearsr.core.engine.optimisation import Diverged, PrecisionOptimWrapper
from linearsr.core.engine.optimisation.blame import Cause, find_cause
from linearsr.core.engine.optimisation.divergence import ADVICE
from linearsr.core.engine.optimisation.tensors import is_finite
from linearsr.core.errors import ConfigError, DivergenceError
from linearsr.core.registries import HOOKS

KEY = 'default_hooks.divergence=dict(type="{}", …)'


@HOOKS.register_module()
class DivergenceHook(Hook):
    """Ends the run: nothing of the iteration is saved, and the message names the picture, weight or module where it began.

    Of a loss, gradient or weight that is not finite, and of what DivergenceGuard warns of. Noted in the run's divergence.json.

    In every run. SkipDivergedSteps and RollBackOnDivergence, in its place, let a run go on. Looks at every weight before it
    is saved, too.
    """

    priority = "VERY_HIGH"
    goes_on = False

    def before_train(self, runner: Any) -> None:
        if sum(isinstance(hook, DivergenceHook) for hook in runner.hooks) > 1:
            raise ConfigError(
                "two hooks decide what happens on divergence; in place of custom_hooks set " + KEY.format(type(self).__name__)
            )
        if self.goes_on and not isinstance(runner.optim_wrapper, PrecisionOptimWrapper):
            raise ConfigError(
                f"{type(self).__name__} needs a step that looks before it is taken: set "
                f"optim_wrapper.type='PrecisionOptimWrapper', not {type(runner.optim_wrapper).__name__!r}"
            )

    def handle(self, runner: Any, event: Diverged, batch: Any) -> bool:
        """For the train loop, on every rank: True: the iteration counts as done, without a step or, after an alarm, with the
        one that it has taken; False: the run went back.

        batch: of this rank. Raises DivergenceError where the run must end.
        """
        cause, iteration = find_cause(event, unwrapped(runner.model), batch, runner.optim_wrapper), runner.iter + 1
        if not cause.step_taken:
            runner.optim_wrapper.abandon()
        try:
            goes_on = self.decide(runner, cause)
        except DivergenceError:
            note_divergence(runner, iteration, event, cause, "the run ended")
            raise
        note_divergence(runner, iteration, event, cause, _outcome(runner, cause, goes_on))
        return goes_on

    def decide(self, runner: Any, cause: Cause) -> bool:
        """cause: the same on all ranks, so all decide alike."""
        raise self.end(runner, cause, ADVICE)

    def end(self, runner: Any, cause: Cause, why: str) -> DivergenceError:
        return DivergenceError(f"{cause.text}. Nothing of iteration {runner.iter + 1} was saved; {why}")

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        """For other optimiser wrappers than ours, whose step is taken by now: the run ends before it is saved."""
        if outputs is None or isinstance(runner.optim_wrapper, PrecisionOptimWrapper):
            return
        loss = outputs["loss"].detach()
        if _on_any_rank(not is_finite(loss)):
            cause = Cause(f"the loss is not finite ({loss.item()} on this rank)", in_weights=False)
            raise self.end(runner, cause, ADVICE)

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        weights = checkpoint["state_dict"].items()
        bad = next((name for name, weight in weights if weight.is_floating_point() and not is_finite(weight)), None)
        if _on_any_rank(bad is not None):
            cause = Cause(f"the weight {bad or '(on another rank)'} is not finite", in_weights=True)
            raise self.end(runner, cause, ADVICE)


@HOOKS.register_module()
class SkipDivergedSteps(DivergenceHook):
    """The step is not taken; the iteration counts, with its schedule. For rare bad batches.

    max_skips:  in all, over resumes too. max_in_a_row: without a step between them. Then the run ends; at once if a weight is
    not finite. Under gradient accumulation the whole step of the bad batch is dropped.
    Counted in the message hub's `skipped_steps`, logged as train/skipped_steps.
    """

    goes_on = True

    def __init__(self, max_skips: int = 10, max_in_a_row: int = 3):
        self.max_skips = _count_key(max_skips, "SkipDivergedSteps", "max_skips")
        self.max_in_a_row = _count_key(max_in_a_row, "SkipDivergedSteps", "max_in_a_row")
        self.in_a_row, self._steps = 0, -1

    def before_train(self, runner: Any) -> None:
        super().before_train(runner)
        publish_total(runner, "skipped_steps", total(runner, "skipped_steps"))

    def decide(self, runner: Any, cause: Cause) -> bool:
        steps = runner.optim_wrapper.steps
        self.in_a_row = self.in_a_row + 1 if steps == self._steps else 1
        self._steps = steps
        number = total(runner, "skipped_steps") + 1
        if cause.step_taken:
            raise self.end(runner, cause, f"the step was taken before it showed, and cannot be skipped; {ADVICE}")
        if cause.in_weights:
            raise self.end(runner, cause, f"skipping does not mend weights; {ADVICE}")
        if number > self.max_skips:
            raise self.end(runner, cause, f"{self.max_skips} steps were skipped before (max_skips); {ADVICE}")
        if self.in_a_row > self.max_in_a_row:
            raise self.end(runner, cause, f"so were the {self.max_in_a_row} before it (max_in_a_row); {ADVICE}")
        publish_total(runner, "skipped_steps", number)
        runner.logger.warning(
            f"{cause.text}. The step of iteration {runner.iter + 1} is skipped, number {number} of at most {self.max_skips}"
        )
        return True


@HOOKS.register_module()
class RollBackOnDivergence(DivergenceHook):
    """The run goes back to its last checkpoint, with a lower learning rate; the data goes on, past the bad batch.

    lr_factor: multiplies the rate each time, 0..1. max_rollbacks: over resumes too; then the run ends, as it does before its
    first checkpoint. The checkpoint is written again with the new rate and place in the data, so that a kill does not undo it.
    Counted in the message hub's `rollbacks`, logged as train/rollbacks.
    """

    goes_on = True

    def __init__(self, lr_factor: float = 0.5, max_rollbacks: int = 3):
        if isinstance(lr_factor, bool) or not isinstance(lr_factor, int | float) or not 0 < lr_factor <= 1:
            raise ConfigError(f"RollBackOnDivergence: lr_factor is {lr_factor!r}; wanted a number in 0..1, above 0")
        self.lr_factor = float(lr_factor)
        self.max_rollbacks = _count_key(max_rollbacks, "RollBackOnDivergence", "max_rollbacks")
        self.checkpoint: Path | None = None
        """The last one of this run, which its folder may share with others' of higher numbers."""

    def before_train(self, runner: Any) -> None:
        super().before_train(runner)
        self.checkpoint = Path(runner._load_from) if runner._resume else None
        publish_total(runner, "rollbacks", total(runner, "rollbacks"))

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        super().before_save_checkpoint(runner, checkpoint)
        meta = checkpoint["meta"]
        if "optimizer" in checkpoint and meta["file"] == checkpoint_name(meta["iter"]):
            self.checkpoint = Path(runner.work_dir) / meta["file"]

    def decide(self, runner: Any, cause: Cause) -> bool:
        number = total(runner, "rollbacks") + 1
        if number > self.max_rollbacks:
            raise self.end(runner, cause, f"the run went back {self.max_rollbacks} times before (max_rollbacks); {ADVICE}")
        if self.checkpoint is None:
            raise self.end(
                runner, cause, "there is no checkpoint of this run yet to go back to: start again with a lower "
                "optim_wrapper.optimizer.lr, or a smaller default_hooks.checkpoint.interval"
            )  # fmt: skip
        failed = runner.iter + 1
        slowed = runner.message_hub.runtime_info.get("lr_scale", 1.0)  # by now, whatever it was at the checkpoint
        runner.train_loop.go_back(self.checkpoint, slowed * self.lr_factor)
        publish_total(runner, "rollbacks", number)
        next(hook for hook in runner.hooks if isinstance(hook, CheckpointHook)).save(runner, runner.iter)
        runner.logger.warning(
            f"{cause.text}. From iteration {failed} back to {runner.iter} with learning rates × {self.lr_factor:g}, "
            f"number {number} of at most {self.max_rollbacks}"
        )
        return False


def total(runner: Any, name: str) -> int:
    """Of the run, over resumes."""
    return int(runner.message_hub.runtime_info.get(name, 0))


def publish_total(runner: Any, name: str, number: int) -> None:
    """Logs show means over a window; that of a single value is the value."""
    runner.message_hub.update_info(name, number)
    runner.message_hub.log_scalars.pop(f"train/{name}", None)
    runner.message_hub.update_scalar(f"train/{name}", number)


def divergence_hook(runner: Any) -> DivergenceHook:
    return next(hook for hook in runner.hooks if isinstance(hook, DivergenceHook))


def _outcome(runner: Any, cause: Cause, goes_on: bool) -> str:
    """Of a decision that is carried out."""
    if goes_on:
        return "the run went on" if cause.step_taken else "the step was skipped"
    return "the run ended" if runner.train_loop.stop_training else f"back to iteration {runner.iter}"


def _on_any_rank(bad: bool) -> bool:
    flag = torch.tensor([float(bad)])
    all_reduce(flag)
    return bool(flag.item())


def _count_key(value: int, who: str, key: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(f"{who}: {key} is {value!r}; wanted a whole number ≥ 1")
    return value
