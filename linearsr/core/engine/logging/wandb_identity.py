"""Which run of Weights & Biases a run's folder is."""

from __future__ import annotations

import json
import os
from pathlib import Path
from uuid import uuid4

from linearsr.core.atomic import write_text
from linearsr.core.engine.logging.backend import warn
from linearsr.core.errors import ConfigError

NAME = "wandb_run.json"


def wandb_run_id(folder: Path, iteration: int) -> str:
    """The id that `folder` goes on under after `iteration`; a new one at iteration 0 and in a copy of a run's folder.

    It is noted in `wandb_run.json` with the folder's path and inode. A copy has another path and another inode, so a run
    that goes on there does not write into the original's charts; a folder that was moved or mounted elsewhere keeps one of
    the two. The environment variable WANDB_RUN_ID, which sweeps set, goes first.
    Raises ConfigError for a note that cannot be read.
    """
    note = folder / NAME
    known = _noted(note, folder) if iteration > 0 and note.is_file() else None
    run_id = os.environ.get("WANDB_RUN_ID") or known or uuid4().hex[:8]
    if run_id != known:
        write_text(note, json.dumps({"id": run_id, "folder": _path(folder), "inode": _inode(folder)}) + "\n")
    return run_id


def _noted(note: Path, folder: Path) -> str | None:
    try:
        noted = json.loads(note.read_text())
        run_id, path, inode = str(noted["id"]), noted["folder"], noted["inode"]
    except (ValueError, KeyError, TypeError) as cause:
        raise ConfigError(f"{note} cannot be read ({cause}); delete it to go on as a new run of wandb") from cause
    if path == _path(folder) or inode == _inode(folder):
        return run_id
    warn(f"{folder} is a copy of {path}: it goes on as a new run of wandb")
    return None


def _path(folder: Path) -> str:
    return str(folder.resolve())


def _inode(folder: Path) -> int:
    return folder.stat().st_ino
