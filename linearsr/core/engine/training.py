"""`tools/train.py`: a config to a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import is_main_process

from linearsr.core.config import load_config
from linearsr.core.engine.checkpoints import (
    check_not_past,
    check_resumable,
    check_same_method,
    newest_checkpoint,
    refuse_to_overwrite,
)
from linearsr.core.engine.distributed import process_group, together
from linearsr.core.engine.runner import build_parts, build_runner
from linearsr.core.errors import ConfigError
from linearsr.core.record import append_record
from linearsr.core.weights import load_strict, read_state_dict

NEWEST = "newest"
"""`resume` for a bare --resume."""


def run_training(
    config: str | Path,
    work_dir: str | Path | None = None,
    resume: str | Path | None = None,
    options: Sequence[str] | Mapping[str, Any] = (),
    launcher: str = "none",
) -> Path:
    """Trains and returns the run's folder, work_dirs/<config name> by default.

    resume: a checkpoint, or NEWEST for the newest of the run's folder. launcher: what started this process and its like,
    "pytorch" (torchrun) or "slurm"; "none" for one process.
    Raises a LinearSRError for what a user can mend; until training starts nothing is written.
    """
    cfg = load_config(config, options)
    if cfg.get("train_dataloader") is None:
        raise ConfigError(f"{config} has no train_dataloader; there is nothing to train on")
    folder = run_folder(cfg, config, work_dir)
    with process_group(launcher, cfg):
        _train(cfg, folder, resume or (NEWEST if cfg.get("resume") else None))
    return folder


def _train(cfg: Config, folder: Path, resume: str | Path | None) -> None:
    with together():
        checkpoint = newest_checkpoint(folder) if resume == NEWEST else _found(Path(resume), folder) if resume else None
        if checkpoint is None:
            refuse_to_overwrite(folder)
        parts = build_parts(cfg, "train", "val")
        if cfg.get("load_from") is not None:
            load_strict(parts.model, read_state_dict(cfg.load_from), cfg.load_from)
        if checkpoint is not None:
            check_resumable(checkpoint, parts.model)
            check_same_method(checkpoint, cfg.model.to_dict())
            check_not_past(checkpoint, cfg.train_cfg["max_iters"])
    runner = build_runner(cfg, folder, parts, resume_from=checkpoint)
    if is_main_process():
        append_record(folder / "train.json", cfg)
    runner.train()


def _found(checkpoint: Path, folder: Path) -> Path:
    """As it is given, or by its name in the run's folder."""
    inside = folder / checkpoint.name
    return inside if not checkpoint.exists() and inside.is_file() else checkpoint


def run_folder(cfg: Mapping[str, Any], config: str | Path, work_dir: str | Path | None) -> Path:
    return Path(work_dir or cfg.get("work_dir") or Path("work_dirs") / Path(config).stem)
