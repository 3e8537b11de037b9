"""What data and checkpoints need of the machine: room on the disk, shared memory, the folder of real data."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from linearsr.core.doctor.finding import Finding

GIB = 1024**3
ROOM_ON_DISK = 10 * GIB
"""Our choice: a checkpoint of the full model with its optimiser takes 2 GB; two are kept while a third is written."""
SHARED_MEMORY = GIB
"""Our choice: containers begin with 64 MiB, which a worker's two batches ahead can fill."""


def machine() -> list[Finding]:
    return [disk(Path.cwd()), shared_memory(Path("/dev/shm")), data_folder(os.environ.get("LINEARSR_DATA"))]


def disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    if not os.access(folder, os.W_OK):
        return Finding("disk", "warning", f"{folder} is write-protected", "work in another folder, or give --work-dir")
    detail = f"{_size(free)} free in {folder}"
    if free < ROOM_ON_DISK:
        return Finding("disk", "warning", detail, "give --work-dir on a larger disk, or lower checkpoint.max_keep_ckpts")
    return Finding("disk", "ok", detail)


def shared_memory(folder: Path) -> Finding:
    """Through which data workers hand over their batches."""
    if not folder.is_dir():
        return Finding("shared memory", "ok", f"this system has no {folder}; workers use files")
    total, _, free = shutil.disk_usage(folder)
    detail = f"{_size(free)} of {_size(total)} free in {folder}"
    if free < SHARED_MEMORY:
        mend = "start the container with --shm-size=8g, or set num_workers=0 in the dataloaders"
        return Finding("shared memory", "warning", detail, mend)
    return Finding("shared memory", "ok", detail)


def data_folder(value: str | None) -> Finding:
    """value: of the environment variable LINEARSR_DATA."""
    mend = "export LINEARSR_DATA=/path/to/data  (with train/, eval/ and weights/)"
    if not value:
        return Finding("LINEARSR_DATA", "absent", "not set; only the bundled photos can be used", mend)
    folder = Path(value)
    if not folder.is_dir():
        return Finding("LINEARSR_DATA", "warning", f"{folder} is no folder", mend)
    held = sorted(path.name for path in folder.iterdir() if path.is_dir())
    return Finding("LINEARSR_DATA", "ok", f"{folder} with {', '.join(held) or 'no folders in it'}")


def _size(count: float) -> str:
    return f"{count / GIB:.1f} GiB"
