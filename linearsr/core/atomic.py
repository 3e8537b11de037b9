"""A file is there whole or not at all: written beside its place, flushed to disk, then renamed into it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

PARTIAL = ".tmp-*.part"
"""Names of files that are being written; after a kill they may be swept away."""
MODE = 0o644
"""Of a file written here; a temporary file alone would be its owner's only."""


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """`with atomic_path(p) as temporary: write(temporary)`: for writers that want a name rather than an open file.

    Folders are made. At the end the file and then its name in the folder are flushed to disk. On any error, and on
    KeyboardInterrupt, the old file stays and nothing new is left behind. A killed process leaves a file of the name PARTIAL.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=".tmp-", suffix=".part", dir=target.parent)
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        os.chmod(temporary, MODE)
        to_disk(temporary)
        os.replace(temporary, target)
        to_disk(target.parent)
    except BaseException:
        with suppress(FileNotFoundError):
            temporary.unlink()
        raise


@contextmanager
def atomic_write(path: str | Path) -> Iterator[BinaryIO]:
    """`with atomic_write(p) as file: file.write(…)`; otherwise as `atomic_path`."""
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        yield file


def write_text(path: str | Path, text: str) -> None:
    """UTF-8."""
    with atomic_write(path) as file:
        file.write(text.encode())


def to_disk(path: Path) -> None:
    """Waits until what is in this file, or the names in this folder, would outlive a loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
