"""Looks for the knee of a run while it trains, keeps the checkpoints that may turn out to be it, and ends the run there."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from rich.console import Console

from linearsr.core.atomic import write_text
from linearsr.core.engine.distributed import together
from linearsr.core.engine.hooks.checkpoint import CheckpointHook, require_whole_steps
from linearsr.core.engine.hooks.knee_files import KNEE, KneeFiles
from linearsr.core.engine.hooks.knee_said import KneeSaid
from linearsr.core.engine.hooks.metric_names import check_metric_names, require_measured
from linearsr.core.errors import ConfigError
from linearsr.core.registries import HOOKS, KNEE_DETECTORS

REPORT = "knee.json"
"""In the run's folder, after every validation: what the detector says, and all it was told; None was not finite."""
DIRECTIONS = "KneeHook.knee.directions"


@HOOKS.register_module()
class KneeHook(Hook):
    """`knee.pth`: the averaged weights of the last good validation before the run oscillates (LinearSR's knee-point).

    knee:      dict(type="KneeDetector", directions={"psnr_y": +1}, …): metrics as validation names them
    stop:      the run ends when the knee is confirmed; False: it goes on to train_cfg.max_iters, and shows what comes after
    optimizer: files hold all that training needs, for a stage that keeps the optimiser and for RollBackToKnee; they are as
               large as iter_*.pth then, and all stay until the knee is confirmed, as the run may go back

    Each validation leaves a file, knee_candidate_<n>.pth, deleted when it cannot be the knee any more. A run that is resumed or
    goes back finds the detector as it was; what was confirmed stays.
    """

    priority = "VERY_LOW"  # after EMAHook has given the averaged weights back

    def __init__(self, knee: Mapping[str, Any], stop: bool = True, optimizer: bool = False):
        self.described, self.stop, self.optimizer = copy.deepcopy(dict(knee)), stop, optimizer
        self.detector = KNEE_DETECTORS.build(knee)
        self.console = Console(stderr=True, quiet=not is_main_process())
        self.said = KneeSaid()
        self.evaluations: dict[int, dict[str, float]] = {}
        """Of this run, each step once, ascending."""
        self.confirmed_at: int | None = None
        self._earliest: dict[int, int] = {}  # at each evaluation of this process
        self._settled = False

    def check(self, runner: Any) -> None:
        """Of a run that is built and has not begun. Raises ConfigError for settings that do not go together."""
        if sum(isinstance(hook, KneeHook) for hook in runner.hooks) > 1:
            raise ConfigError("two hooks look for the knee of one run; leave one of them in default_hooks and custom_hooks")
        check_metric_names(runner, self.detector.directions, DIRECTIONS)
        loop = runner.train_loop
        require_whole_steps(runner, loop.val_interval, "train_cfg.val_interval")
        patience = getattr(getattr(self.detector, "options", None), "patience", 0)
        if (count := math.ceil(loop.max_iters / loop.val_interval)) <= patience:
            raise ConfigError(
                f"{count} validations (train_cfg.max_iters {loop.max_iters}, val_interval {loop.val_interval}) are too few to "
                f"confirm a knee with patience {patience}; validate more often, or lower KneeHook.knee.patience"
            )

    def before_train(self, runner: Any) -> None:
        """Candidates of steps that lie ahead are of a run that was killed."""
        if is_main_process():
            KneeFiles(Path(runner.work_dir)).drop(lambda step: step > runner.iter)

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        checkpoint["knee"] = {
            "detector": self.detector.state_dict(),
            "evaluations": list(self.evaluations.items()),
            "said": self.said.to_dict(),
            "confirmed_at": self.confirmed_at,
        }

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """A run goes back: what was confirmed stays, and a validation of the very checkpoint is not done again."""
        if self.said.confirmed:
            return
        iteration, known = checkpoint["meta"]["iter"], self.evaluations
        saved = checkpoint.get("knee") or {"evaluations": [], "said": None, "confirmed_at": None}
        self.detector = KNEE_DETECTORS.build(self.described)
        self.evaluations = {int(step): dict(metrics) for step, metrics in saved["evaluations"]}
        self.said = KneeSaid.restored(saved["said"]) if self.evaluations else KneeSaid()
        self.confirmed_at = saved["confirmed_at"]
        self._earliest = {step: earliest for step, earliest in self._earliest.items() if step <= iteration}
        if self.evaluations:
            self.detector.load_state_dict(saved["detector"])
        if iteration in known and iteration not in self.evaluations:
            self._look(iteration, known[iteration])
        if is_main_process():
            KneeFiles(Path(runner.work_dir)).drop(lambda step: step > iteration)

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        if runner._train_loop is None:  # validation on its own
            return
        found, before = metrics or {}, self.said
        require_measured(found, self.detector.directions, DIRECTIONS)
        if all(runner.iter > earlier for earlier in self.evaluations):
            self._look(runner.iter, {name: float(found[name]) for name in self.detector.directions})
        self._keep_files(runner)
        for text in _news(before, self.said, runner.iter):
            self.console.print(text, highlight=False)
            runner.logger.info(text)
        if self.said.confirmed and self.stop:
            self._end(runner)

    def after_train(self, runner: Any) -> None:
        if self.said.confirmed and is_main_process():
            KneeFiles(Path(runner.work_dir)).drop(lambda step: True)

    def summary(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "directions": dict(self.detector.directions),
            "confirmed_at": self.confirmed_at,
            "state": self.said.to_dict(),
            "evaluations": [
                {"step": step, **{name: value if math.isfinite(value) else None for name, value in metrics.items()}}
                for step, metrics in self.evaluations.items()
            ],
        }

    def candidate(self, folder: Path) -> Path | None:
        """The file of what is the knee so far, if there is one."""
        path = None if self.said.knee_step is None else KneeFiles(folder).candidate(self.said.knee_step)
        return path if path is not None and path.is_file() else None

    def _look(self, step: int, metrics: dict[str, float]) -> None:
        self.said = KneeSaid.of(self.detector.update(step, metrics))
        self.evaluations[step] = metrics
        self._earliest[step] = self.said.earliest_possible or 0
        if self.said.confirmed and self.confirmed_at is None:
            self.confirmed_at = step

    def _keep_files(self, runner: Any) -> None:
        files = KneeFiles(Path(runner.work_dir))
        if not self.said.confirmed:
            runner.save(files.candidate(runner.iter).name, runner.iter, optimizer=self.optimizer)
        with together():
            if is_main_process():
                if self.said.confirmed and not self._settled:
                    files.settle(self.said.knee_step or 0)
                self._settled = self.said.confirmed
                files.drop(lambda candidate: candidate < self._needed(files.resumable(runner.iter)))
                write_text(files.folder / REPORT, json.dumps(self.summary(), indent=1) + "\n")

    def _needed(self, resumable: int) -> float:
        """The first step whose file may still be wanted, also by a run that is resumed from the checkpoint of `resumable`."""
        if self.confirmed_at is not None:
            return math.inf if resumable > self.confirmed_at else 0
        return 0 if self.optimizer else max((floor for at, floor in self._earliest.items() if at < resumable), default=0)

    def _end(self, runner: Any) -> None:
        checkpoints = next(hook for hook in runner.hooks if isinstance(hook, CheckpointHook))
        if runner.iter % checkpoints.interval and runner.iter != runner.max_iters:
            checkpoints.save(runner, runner.iter)
        runner.train_loop.stop_training = True
        runner.message_hub.update_info("ended", "knee")


def _news(before: KneeSaid, now: KneeSaid, iteration: int) -> list[str]:
    news = []
    if now.confirmed and not before.confirmed:
        sure = f"confidence {now.confidence:.0%}"
        news.append(f"knee at iteration {now.knee_step}, confirmed at {iteration}, {sure}: {KNEE}")
    if now.superseded is not None and before.superseded is None:
        news.append(f"a real gain at iteration {now.superseded}, after the knee was confirmed; the knee stays")
    if (conflict := now.more.get("conflict")) and not before.more.get("conflict"):
        falling, rising = ", ".join(conflict["falling"]), ", ".join(conflict["rising"])
        news.append(f"{rising} still gains while {falling} has fallen; KneeHook.knee.policy says which counts")
    return news
