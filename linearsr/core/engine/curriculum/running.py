"""A curriculum: each stage a Runner and a folder of its own, begun from where an earlier one stood, resumable."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import barrier, is_main_process
from mmengine.logging import print_log
from rich.console import Console

from linearsr.core.atomic import write_text
from linearsr.core.engine.checkpoints import NOTE, numbered, read_checkpoint
from linearsr.core.engine.curriculum.checks import CONFIG, check_folder, check_order, check_parts
from linearsr.core.engine.curriculum.fingerprint import fingerprint
from linearsr.core.engine.curriculum.records import StageRecord, StageStart, finished, read_start, what_counts
from linearsr.core.engine.curriculum.report import write_report
from linearsr.core.engine.curriculum.starts import check_starts, locate
from linearsr.core.engine.distributed import together
from linearsr.core.engine.hooks import KneeHook
from linearsr.core.engine.single_run import NEWEST, Beginning, train
from linearsr.core.errors import ConfigError
from linearsr.core.record import run_record
from linearsr.core.stages import Stage, stages_of


def run_stages(cfg: Config, root: Path, *, resume: bool) -> None:
    """Trains the stages of `cfg` that are not finished in `root`, in order; its report is written after each.

    resume: goes on with what is there: finished stages stay, a stage that was interrupted goes on from its newest checkpoint.
    Starts, data, metrics and sizes of all stages are looked at first. Raises a LinearSRError for what a user can mend.
    """
    stages = stages_of(cfg)
    check_starts(stages)
    with together():
        check_folder(root, stages, resume)
        records = [finished(stage, index, root / stage.name) for index, stage in enumerate(stages)]
        check_order(stages, records, root)
        check_parts(stages, records)
    console = Console(stderr=True, quiet=not is_main_process())
    for index, (stage, record) in enumerate(zip(stages, records, strict=True)):
        title = f"stage {stage.name} ({index + 1} of {len(stages)})"
        if record is None:
            _run_stage(cfg, stages, index, root, console, title)
            gc.collect()  # a runner's cycles hold its model and optimiser
        else:
            _check_start(stage, root, record.start)
            console.print(f"{title}: finished before, {record.iterations} iterations", highlight=False)
        if is_main_process() and (record is None or index + 1 == len(stages)):  # a kill may have come before the last report
            _report(root, stages)


def _run_stage(cfg: Config, stages: Sequence[Stage], index: int, root: Path, console: Console, title: str) -> None:
    stage, folder = stages[index], root / stages[index].name
    with together():
        begun = (folder / NOTE).is_file() or bool(numbered(folder))
        start, source = _start_of(stage, root)
        if begun:
            start = _check_start(stage, root, read_start(folder) or start)

    def note() -> None:
        write_text(root / CONFIG, cfg.pretty_text)
        start.write(folder)

    console.print(f"{title}: {'goes on' if begun else 'from ' + (start.told or 'scratch')}", highlight=False)
    beginning = None if source is None else Beginning(source, stage.keep_optimizer, str(stage.start))
    runner = train(stage.cfg, folder, NEWEST if begun else None, beginning, note)
    record = _record(stage, start, runner)
    with together():
        _check_knee(stages, index, record)
        if is_main_process():
            record.write(folder)
    barrier()


def _start_of(stage: Stage, root: Path) -> tuple[StageStart, Path | None]:
    """What the stage would begin with now, and the file."""
    if stage.start is None:
        return StageStart(), None
    source = locate(stage.start, root)
    told = str(stage.start)
    if stage.start.stage is not None:
        told = f"{told} (iteration {read_checkpoint(source)['meta']['iter']})"
    return StageStart(told, fingerprint(source), "kept" if stage.keep_optimizer else "fresh"), source


def _check_start(stage: Stage, root: Path, then: StageStart) -> StageStart:
    """Returns it. Raises ConfigError where a stage was begun with something else than the config says now. A source whose file
    has been deleted since is believed."""
    named = None if then.told is None else then.told.partition(" (iteration")[0]
    now = StageStart(named, then.fingerprint, "kept" if stage.keep_optimizer else "fresh")
    try:
        now = _start_of(stage, root)[0]
    except (ConfigError, OSError):
        same = named == (None if stage.start is None else str(stage.start)) and now.optimizer == then.optimizer
    else:
        same = now == then
    if not same:
        raise ConfigError(
            f"the stage {stage.name!r} in {root / stage.name} was begun from {then.told or 'scratch'}, optimizer "
            f"{then.optimizer!r}; now it would be {now.told or 'scratch'}, optimizer {now.optimizer!r}"
            f"{', another file' if now.told == then.told else ''}. Delete its folder and those of later stages to begin it "
            "anew, or set its init back"
        )
    return then


def _record(stage: Stage, start: StageStart, runner: Any) -> StageRecord:
    knee = next((hook for hook in runner.hooks if isinstance(hook, KneeHook)), None)
    ended = "max_iters" if runner.iter >= runner.max_iters else runner.message_hub.runtime_info.get("ended", "stopped")
    summary, config = None if knee is None else knee.summary(), what_counts(stage.cfg.to_dict())
    return StageRecord(stage.name, config, start, runner.iter, ended, summary, run_record(stage.cfg))


def _check_knee(stages: Sequence[Stage], index: int, record: StageRecord) -> None:
    """A knee that later stages start from must be there, or the stage is not over: it can be trained on."""
    stage = stages[index]
    waiting = [
        other.name for other in stages if other.start and other.start.stage == stage.name and other.start.point == "knee"
    ]
    if waiting and record.knee_step is None:
        raise ConfigError(
            f"the stage {stage.name!r} has done {record.iterations} iterations and its knee is not confirmed, from which "
            f"{waiting[0]!r} starts: raise stages.{index}.override.train_cfg.max_iters, lower KneeHook.knee.patience, or start "
            f"{waiting[0]!r} from {stage.name}@last; then go on with --resume"
        )


def _report(root: Path, stages: Sequence[Stage]) -> None:
    """A run does not end for want of a picture of it."""
    try:
        write_report(root, [stage.name for stage in stages])
    except OSError as error:
        print_log(f"the report in {root} could not be written ({error.strerror or error})", "current", level="WARNING")
