"""A curriculum: each stage a Runner and a folder of its own, begun from where an earlier one stood, resumable."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import barrier, is_main_process
from rich.console import Console

from linearsr.core.atomic import write_text
from linearsr.core.config import config_hash
from linearsr.core.engine.checkpoints import NOTE, numbered, read_checkpoint
from linearsr.core.engine.curriculum.records import StageRecord, finished
from linearsr.core.engine.curriculum.report import write_report
from linearsr.core.engine.curriculum.starts import check_starts, locate
from linearsr.core.engine.distributed import together
from linearsr.core.engine.hooks import KneeHook
from linearsr.core.engine.runner import build_data
from linearsr.core.engine.single_run import Beginning, train
from linearsr.core.errors import ConfigError, WeightsError
from linearsr.core.record import run_record
from linearsr.core.stages import Stage, stages_of

CONFIG = "curriculum.py"
"""The whole config with its stages; it runs again as it is."""


def run_stages(cfg: Config, root: Path, *, resume: bool) -> None:
    """Trains the stages of `cfg` that are not finished in `root`, in order; its report is written after each.

    resume: goes on with what is there: finished stages stay, a stage that was interrupted goes on from its newest checkpoint.
    Data, folders and metrics of all stages are looked at first. Raises a LinearSRError for what a user can mend.
    """
    stages = stages_of(cfg)
    check_starts(stages)
    with together():
        _check_folder(root, stages, resume)
        records = [finished(stage, root / stage.name) for stage in stages]
        for stage, record in zip(stages, records, strict=True):
            if record is None:
                _check_trains(stage)
                build_data(stage.cfg, "train", "val")
    console = Console(stderr=True, quiet=not is_main_process())
    for number, (stage, record) in enumerate(zip(stages, records, strict=True), 1):
        title = f"stage {stage.name} ({number} of {len(stages)})"
        if record is None:
            _run_stage(stage, stages, root, console, title)
            gc.collect()  # a runner's cycles hold its model and optimiser
        else:
            console.print(f"{title}: finished before, {record.iterations} iterations", highlight=False)
        if is_main_process() and (record is None or number == len(stages)):  # a kill may have come before the last report
            write_text(root / CONFIG, cfg.pretty_text)
            write_report(root, [one.name for one in stages])


def _run_stage(stage: Stage, stages: list[Stage], root: Path, console: Console, title: str) -> None:
    folder = root / stage.name
    begun = (folder / NOTE).is_file() or bool(numbered(folder))
    with together():
        source = None if stage.start is None else locate(stage.start, root)
    from_where = _told(stage, source)
    console.print(f"{title}: {'goes on' if begun else 'from ' + (from_where or 'scratch')}", highlight=False)
    beginning = None if source is None else Beginning(source, stage.keep_optimizer, str(stage.start))
    runner = train(stage.cfg, folder, "newest" if begun else None, beginning)
    record = _record(stage, from_where, runner)
    with together():
        _check_knee(stage, stages, record)
        if is_main_process():
            record.write(folder)
    barrier()


def _record(stage: Stage, from_where: str | None, runner: Any) -> StageRecord:
    knee = next((hook for hook in runner.hooks if isinstance(hook, KneeHook)), None)
    ended = "max_iters" if runner.iter >= runner.max_iters else runner.message_hub.runtime_info.get("ended", "stopped")
    summary = None if knee is None else knee.summary()
    return StageRecord(stage.name, config_hash(stage.cfg), from_where, runner.iter, ended, summary, run_record(stage.cfg))


def _check_knee(stage: Stage, stages: list[Stage], record: StageRecord) -> None:
    """A knee that later stages start from must be there, or the stage is not over: it can be trained on."""
    waiting = [
        other.name for other in stages if other.start and other.start.stage == stage.name and other.start.point == "knee"
    ]
    if waiting and record.knee_step is None:
        raise ConfigError(
            f"the stage {stage.name!r} has done {record.iterations} iterations and its knee is not confirmed, from which "
            f"{waiting[0]!r} starts: raise its train_cfg.max_iters, lower knee.patience, or start {waiting[0]!r} from "
            f"{stage.name}@last; then go on with --resume"
        )


def _told(stage: Stage, source: Path | None) -> str | None:
    if stage.start is None or source is None:
        return None
    if stage.start.file is not None:
        return stage.start.file
    return f"{stage.start} (iteration {read_checkpoint(source)['meta']['iter']})"


def _check_folder(root: Path, stages: list[Stage], resume: bool) -> None:
    """A stage has a folder from the moment at which it can begin."""
    begun = any((root / stage.name).is_dir() for stage in stages)
    if begun and not resume:
        raise ConfigError(f"{root} holds a curriculum already; add --resume to go on with it, or begin in another --work-dir")
    if resume and not begun:
        raise WeightsError(f"there is no stage in {root} to go on with; leave --resume out to begin")
    if (root / NOTE).is_file() or numbered(root):
        raise ConfigError(f"{root} holds a run without stages; begin the curriculum in another --work-dir")


def _check_trains(stage: Stage) -> None:
    if stage.cfg.get("train_dataloader") is None:
        raise ConfigError(f"the stage {stage.name!r} has no train_dataloader; there is nothing to train on")
    if stage.cfg.get("load_from") is not None:
        raise ConfigError(f"the stage {stage.name!r} has load_from; what a stage starts from is its init")
