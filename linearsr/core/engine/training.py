"""`tools/train.py`: a config to a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from linearsr.core.config import load_config
from linearsr.core.engine.curriculum import run_stages
from linearsr.core.engine.distributed import process_group
from linearsr.core.engine.single_run import NEWEST, Beginning, train
from linearsr.core.errors import ConfigError
from linearsr.core.stages import STAGES


def run_training(
    config: str | Path,
    work_dir: str | Path | None = None,
    resume: str | Path | None = None,
    options: Sequence[str] | Mapping[str, Any] = (),
    launcher: str = "none",
) -> Path:
    """Trains, all stages where the config has some, and returns the run's folder, work_dirs/<config name> by default.

    resume: a checkpoint, or NEWEST for the newest of the run's folder. launcher: what started this process and its like,
    "pytorch" (torchrun) or "slurm"; "none" for one process.
    Raises a LinearSRError for what a user can mend; until training starts nothing is written.
    """
    cfg = load_config(config, options)
    folder, resume = run_folder(cfg, config, work_dir), resume or (NEWEST if cfg.get("resume") else None)
    if STAGES in cfg:
        if resume not in (None, NEWEST):
            raise ConfigError(f"--resume {resume}: {config} has stages, which go on from where they stand; give no checkpoint")
        with process_group(launcher, cfg):
            run_stages(cfg, folder, resume=resume is not None)
        return folder
    if cfg.get("train_dataloader") is None:
        raise ConfigError(f"{config} has no train_dataloader; there is nothing to train on")
    with process_group(launcher, cfg):
        train(cfg, folder, resume, Beginning(Path(cfg.load_from)) if cfg.get("load_from") is not None else None)
    return folder


def run_folder(cfg: Mapping[str, Any], config: str | Path, work_dir: str | Path | None) -> Path:
    return Path(work_dir or cfg.get("work_dir") or Path("work_dirs") / Path(config).stem)
