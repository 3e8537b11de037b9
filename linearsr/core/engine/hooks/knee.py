"""Looks for the knee of a run while it trains, keeps the checkpoints that may turn out to be it, and ends it there."""

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
from linearsr.core.engine.checkpoints import numbered
from linearsr.core.engine.distributed import together
from linearsr.core.engine.hooks.checkpoint import CheckpointHook
from linearsr.core.engine.hooks.knee_files import KNEE, KneeFiles
from linearsr.core.engine.hooks.metric_names import check_metric_names, require_measured
from linearsr.core.errors import ConfigError
from linearsr.core.registries import HOOKS, KNEE_DETECTORS

REPORT = "knee.json"
"""In the run's folder, after every validation: what the detector says, and all it was told; None was not finite."""


@HOOKS.register_module()
class KneeHook(Hook):
    """`knee.pth`: the averaged weights of the last good validation before the run oscillates (LinearSR's knee-point).

    knee:      dict(type="KneeDetector", directions={"psnr_y": +1}, …): metrics as validation names them
    stop:      the run ends when the knee is confirmed; False: it goes on to train_cfg.max_iters, and shows what comes after
    optimizer: knee.pth has the optimiser too, for a stage that keeps it and for RollBackToKnee; files are three times as large

    Until then each validation leaves a file, knee_candidate_<n>.pth, deleted when it cannot be the knee any more. A run that is
    resumed or goes back finds the detector as it was; what was confirmed stays.
    """

    priority = "VERY_LOW"  # after EMAHook has given the averaged weights back

    def __init__(self, knee: Mapping[str, Any], stop: bool = True, optimizer: bool = False):
        self.described, self.stop, self.optimizer = copy.deepcopy(dict(knee)), stop, optimizer
        self.detector = KNEE_DETECTORS.build(knee)
        self.console = Console(stderr=True, quiet=not is_main_process())
        self.state: Any = None
        """What the detector said last."""
        self.evaluations: dict[int, dict[str, float]] = {}
        """Of this run, each step once."""
        self._earliest: dict[int, int | None] = {}  # at each of them

    @property
    def confirmed(self) -> bool:
        return self.state is not None and self.state.confirmed

    def check(self, runner: Any) -> None:
        """Of a run that is built and has not begun. Raises ConfigError for settings that do not go together."""
        check_metric_names(runner, self.detector.directions, "knee.directions")
        every = getattr(runner.optim_wrapper, "_accumulative_counts", 1)
        if runner.train_loop.val_interval % every:
            raise ConfigError(
                f"train_cfg.val_interval is {runner.train_loop.val_interval}, no multiple of optim_wrapper.accumulative_counts "
                f"= {every}: what is validated for the knee would be no whole step"
            )

    def before_train(self, runner: Any) -> None:
        """Candidates of steps that lie ahead are of a run that was killed."""
        if is_main_process():
            KneeFiles(Path(runner.work_dir)).drop(lambda step: step > runner.iter)

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        checkpoint["knee"] = {"detector": self.detector.state_dict(), "evaluations": list(self.evaluations.items())}

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """A run goes back: what was confirmed stays, and a validation of the very checkpoint is not done again."""
        if self.confirmed:
            return
        iteration, known = checkpoint["meta"]["iter"], self.evaluations
        self.detector = KNEE_DETECTORS.build(self.described)
        saved = checkpoint.get("knee", {"evaluations": []})
        if saved["evaluations"]:
            self.detector.load_state_dict(saved["detector"])
        self.evaluations = {int(step): dict(metrics) for step, metrics in saved["evaluations"]}
        self.state = getattr(self.detector, "state", None) if self.evaluations else None
        if iteration in known and iteration not in self.evaluations:
            self._look(iteration, known[iteration])
        if is_main_process():
            KneeFiles(Path(runner.work_dir)).drop(lambda step: step > iteration)

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        if runner._train_loop is None:  # validation on its own
            return
        step, found, before = runner.iter, metrics or {}, self.state
        require_measured(found, self.detector.directions, "knee.directions")
        if all(step > earlier for earlier in self.evaluations):
            self._look(step, {name: float(found[name]) for name in self.detector.directions})
        self._keep_files(runner, step)
        self._tell(runner, before)
        if self.confirmed and self.stop:
            self._end(runner, step)

    def after_train(self, runner: Any) -> None:
        if self.confirmed and is_main_process():
            KneeFiles(Path(runner.work_dir)).drop(lambda step: True)

    def summary(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "directions": dict(self.detector.directions),
            "state": None if self.state is None else self.state.to_dict(),
            "evaluations": [
                {"step": step, **{name: value if math.isfinite(value) else None for name, value in metrics.items()}}
                for step, metrics in self.evaluations.items()
            ],
        }

    def candidate(self, folder: Path) -> Path | None:
        """The file of what is the knee so far, if there is one."""
        step = None if self.state is None else self.state.knee_step
        path = None if step is None else KneeFiles(folder).candidate(step)
        return path if path is not None and path.is_file() else None

    def _look(self, step: int, metrics: dict[str, float]) -> None:
        self.state = self.detector.update(step, metrics)
        self.evaluations[step] = metrics
        self._earliest[step] = self.state.earliest_possible

    def _keep_files(self, runner: Any, step: int) -> None:
        folder = Path(runner.work_dir)
        files = KneeFiles(folder)
        if not self.confirmed:
            runner.save(files.candidate(step).name, step, optimizer=self.optimizer)
        with together():
            if is_main_process():
                if self.confirmed:
                    files.settle(self.state.knee_step)
                files.drop(lambda candidate: candidate < self._needed(folder, step))
                write_text(folder / REPORT, json.dumps(self.summary(), indent=1) + "\n")

    def _needed(self, folder: Path, step: int) -> int:
        """The first step whose file may still be wanted, also by a run that is resumed from the newest checkpoint."""
        resumable = max((n for n in numbered(folder) if n <= step), default=0)
        then = [earliest for at, earliest in self._earliest.items() if at < resumable]
        return then[-1] or 0 if then else 0

    def _tell(self, runner: Any, before: Any) -> None:
        state = self.state
        news = []
        if state.confirmed and not (before is not None and before.confirmed):
            sure = f"confidence {state.confidence:.0%}"
            news.append(f"knee at iteration {state.knee_step}, confirmed at {runner.iter}, {sure}: {KNEE}")
        if state.superseded is not None and getattr(before, "superseded", None) is None:
            news.append(f"a real gain at iteration {state.superseded}, after the knee was confirmed; the knee stays")
        conflict = getattr(state, "conflict", None)
        if conflict is not None and getattr(before, "conflict", None) is None:
            falling, rising = ", ".join(conflict.falling), ", ".join(conflict.rising)
            news.append(f"{rising} still gains while {falling} has fallen; knee.policy says which counts")
        for text in news:
            self.console.print(text, highlight=False)
            runner.logger.info(text)

    def _end(self, runner: Any, step: int) -> None:
        checkpoints = next(hook for hook in runner.hooks if isinstance(hook, CheckpointHook))
        if step % checkpoints.interval and step != runner.max_iters:
            checkpoints.save(runner, step)
        runner.train_loop.stop_training = True
        runner.message_hub.update_info("ended", "knee")
