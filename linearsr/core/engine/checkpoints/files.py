"""A run's checkpoints as files: their names, which one is newest, whole or not there, and swept after a kill."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from linearsr.core.atomic import PARTIAL, atomic_write, write_text
from linearsr.core.errors import CheckpointError, ConfigError, WeightsError
from linearsr.core.weights import read_pickled

NOTE = "last_checkpoint"
"""Holds the name of the checkpoint that was written last, as mmengine's runs do; never a path, so that a copied folder
does not lead back to the original."""


CURRICULUM_CONFIG = "curriculum.py"
"""In a folder of runs in stages: the whole config, which runs again as it is."""


def checkpoint_name(iteration: int) -> str:
    return f"iter_{iteration}.pth"


def best_name(metric: str) -> str:
    """metric: as validation calls it, "Set5/psnr_y"."""
    return f"best_{metric.replace('/', '_')}.pth"


def numbered(folder: Path) -> dict[int, Path]:
    """iteration -> file, in the order of iterations."""
    found = {int(path.stem[5:]): path for path in folder.glob("iter_*.pth") if path.stem[5:].isdigit()}
    return dict(sorted(found.items()))


def newest_checkpoint(folder: Path) -> Path:
    """The checkpoint of this folder that was written last: the noted one, else the one with the highest number.

    The note matters after an older checkpoint was resumed: a higher number may be left of the abandoned future.
    Raises WeightsError if there is none: a run that was to go on must not silently begin again.
    """
    note = folder / NOTE
    named = folder / Path(note.read_text().strip() or "-").name if note.is_file() else None
    if named is not None and named.is_file():
        return named
    files = numbered(folder)
    if not files:
        raise WeightsError(f"there is no checkpoint iter_*.pth in {folder}; name another, or train from the beginning")
    return files[max(files)]


def refuse_to_overwrite(folder: Path) -> None:
    """Raises ConfigError where a run's checkpoints lie: a new run would replace them, and a later --resume mix the two."""
    if (folder / CURRICULUM_CONFIG).is_file():
        raise ConfigError(f"{folder} holds a curriculum; begin a run without stages in another --work-dir")
    if (folder / NOTE).is_file() or numbered(folder):
        raise ConfigError(
            f"{folder} holds a run already ({newest_checkpoint(folder).name}); add --resume to go on with it, or begin a new "
            "one in another --work-dir"
        )


def write_checkpoint(path: Path, content: Mapping[str, Any]) -> None:
    """Replaces `path` by the whole new file, or leaves it as it was.

    Raises CheckpointError when the disk is full, the folder is write-protected or a limit is met.
    """
    try:
        with atomic_write(path) as file:
            torch.save(dict(content), file)
    except (OSError, RuntimeError) as cause:  # torch's writer wraps what the file system says
        raise _unwritten(path, cause) from cause


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Plain types and tensors, on the CPU. Raises WeightsError for a file that is missing or damaged."""
    if not path.is_file():
        raise WeightsError(f"there is no checkpoint {path}")
    content = read_pickled(path)
    if not isinstance(content, dict):
        raise WeightsError(f"{path} is no checkpoint of a run: it holds a {type(content).__name__}")
    return content


def note_newest(path: Path) -> None:
    """Raises CheckpointError as `write_checkpoint` does."""
    try:
        write_text(path.parent / NOTE, path.name)
    except OSError as cause:
        raise _unwritten(path.parent / NOTE, cause) from cause


def retire(folder: Path, newest: int, keep: int) -> None:
    """Deletes the oldest files up to iteration `newest` until `keep` are left. keep ≤ 0 keeps all.

    Files of higher numbers are an abandoned future, which is the user's to delete.
    """
    past = [path for iteration, path in numbered(folder).items() if iteration <= newest]
    for path in past[:-keep] if keep > 0 else []:
        path.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Removes what writes that were killed half-way left behind."""
    for path in folder.rglob(PARTIAL):
        with suppress(FileNotFoundError):
            path.unlink()


def _unwritten(path: Path, cause: Exception) -> CheckpointError:
    reason = _first_cause(cause) or (str(cause).splitlines() or [""])[0]
    return CheckpointError(
        f"{path} could not be written: {reason}; the checkpoints before it are whole. Mend the disk and start again with "
        "--resume"
    )


def _first_cause(error: BaseException) -> str | None:
    """What the file system said, below what torch made of it."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.strerror:
            return seen.strerror
        seen = seen.__cause__ or seen.__context__
    return None
