"""One writer at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from linearsr.core.atomic import PARTIAL
from linearsr.core.errors import DataError


@contextmanager
def only_writer(folder: Path) -> Iterator[int]:
    """Makes the folder, sweeps away what killed writers left in it and one folder deeper, and holds it to the end of the block.

    The lock (flock on the folder itself) ends with the process, however it ends. Yields its descriptor: a forked process that
    closes it cannot hold the lock longer than this one. Raises DataError while another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for pattern in (PARTIAL, f"*/{PARTIAL}"):
            for path in folder.glob(pattern):
                path.unlink(missing_ok=True)
        yield descriptor
    except BlockingIOError as error:
        raise DataError(f"another process is filling {folder}; wait for it") from error
    finally:
        os.close(descriptor)
