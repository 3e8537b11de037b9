"""`tools/train.py`: a config to a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from linearsr.core.config import load_config
from linearsr.core.engine.runner import build_parts, build_runner
from linearsr.core.errors import ConfigError, WeightsError
from linearsr.core.record import write_record
from linearsr.core.weights import load_strict, read_state_dict

NEWEST = "newest"
"""`resume` for a bare --resume."""


def run_training(
    config: str | Path,
    work_dir: str | Path | None = None,
    resume: str | Path | None = None,
    options: Sequence[str] | Mapping[str, Any] = (),
) -> Path:
    """Trains and returns the run's folder, work_dirs/<config name> by default.

    resume: a checkpoint, or NEWEST for the newest of the run's folder.
    Raises a LinearSRError for what a user can mend; until training starts nothing is written.
    """
    cfg = load_config(config, options)
    if cfg.get("train_dataloader") is None:
        raise ConfigError(f"{config} has no train_dataloader; there is nothing to train on")
    folder = run_folder(cfg, config, work_dir)
    checkpoint = _checkpoint_to_resume(folder, resume or (NEWEST if cfg.get("resume") else None))
    parts = build_parts(cfg, "train", "val")
    for path in (checkpoint, cfg.get("load_from")):
        if path is not None:
            load_strict(parts.model, read_state_dict(path), str(path))
    runner = build_runner(cfg, folder, parts, resume_from=checkpoint)
    write_record(folder, "train", cfg)
    runner.train()
    return folder


def _checkpoint_to_resume(folder: Path, resume: str | Path | None) -> Path | None:
    if resume is None:
        return None
    checkpoint = newest_checkpoint(folder) if resume == NEWEST else Path(resume)
    if checkpoint.suffix == ".safetensors":
        raise WeightsError(
            f"{checkpoint} holds weights but no optimiser to resume with; set load_from to start from its weights"
        )
    return checkpoint


def run_folder(cfg: Mapping[str, Any], config: str | Path, work_dir: str | Path | None) -> Path:
    return Path(work_dir or cfg.get("work_dir") or Path("work_dirs") / Path(config).stem)


def newest_checkpoint(folder: Path) -> Path:
    """The iter_*.pth of this folder that was written last; a copied folder never leads back to the original.

    Raises WeightsError if there is none: a run that was to go on must not silently begin again.
    """
    found = sorted(folder.glob("iter_*.pth"), key=lambda path: (path.stat().st_mtime_ns, path.name))
    if not found:
        raise WeightsError(
            f"there is no iter_*.pth in {folder}; name a checkpoint, or leave --resume out to train from the beginning"
        )
    return found[-1]
