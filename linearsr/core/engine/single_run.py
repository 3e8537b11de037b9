"""One run of a Runner: from drawn weights, from another run's, or from where it was interrupted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import is_main_process

from linearsr.core.engine.checkpoints import (
    check_not_past,
    check_resumable,
    check_same_method,
    newest_checkpoint,
    refuse_to_overwrite,
)
from linearsr.core.engine.checkpoints.moments import take_optimizer
from linearsr.core.engine.distributed import together
from linearsr.core.engine.runner import build_parts, build_runner
from linearsr.core.models.starting import start_from
from linearsr.core.record import append_record
from linearsr.core.weights import read_state_dict

NEWEST = "newest"
"""`resume` for a bare --resume."""


@dataclass(frozen=True)
class Beginning:
    """file: whose weights a run begins with; keep_optimizer: its moments too; name: what the config calls it."""

    file: Path
    keep_optimizer: bool = False
    name: str = ""


def train(
    cfg: Config,
    folder: Path,
    resume: str | Path | None,
    beginning: Beginning | None = None,
    note: Callable[[], None] | None = None,
) -> Any:
    """Trains what one config describes and returns the runner when it is done.

    note: called by the main process when the run can begin and has its folder.

    resume: a checkpoint, NEWEST for the newest of the folder, or None to begin: with `beginning`, or weights as they are drawn.
    Raises a LinearSRError for what a user can mend; until training starts nothing is written.
    """
    with together():
        checkpoint = newest_checkpoint(folder) if resume == NEWEST else _found(Path(resume), folder) if resume else None
        if checkpoint is None:
            refuse_to_overwrite(folder)
        parts = build_parts(cfg, "train", "val")
        if checkpoint is not None:
            check_resumable(checkpoint, parts.model)
            check_same_method(checkpoint, cfg.model.to_dict())
            check_not_past(checkpoint, cfg.train_cfg["max_iters"])
        elif beginning is not None:
            start_from(parts.model, read_state_dict(beginning.file), beginning.name or str(beginning.file))
    runner = build_runner(cfg, folder, parts, resume_from=checkpoint)
    with together():
        if checkpoint is None and beginning is not None and beginning.keep_optimizer:
            take_optimizer(runner, beginning.file)
    if is_main_process():
        append_record(folder / "train.json", cfg)
        if note is not None:
            note()
    runner.train()
    return runner


def _found(checkpoint: Path, folder: Path) -> Path:
    """As it is given, or by its name in the run's folder."""
    inside = folder / checkpoint.name
    return inside if not checkpoint.exists() and inside.is_file() else checkpoint
