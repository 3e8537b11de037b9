"""A data worker that was killed, in words that help."""

from __future__ import annotations

import re
import signal
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from linearsr.core.errors import DataError

KILLED: Final = re.compile(
    r"DataLoader worker \(pid(?:\(s\))? ([\d, ]+)\) (?:is killed by signal: ([\w ]+)|exited unexpectedly)"
)
"""What torch says, from its signal handler or from its queue, whichever notices first."""

RECEIVING: Final = "_try_get_data"
"""torch's function that takes a batch from a worker. A worker that dies while it hands one over breaks the connection, and now
and then torch passes that on as it is: 4 of 4,300 deaths under load. What a worker itself raises comes by another way."""


@contextmanager
def worker_deaths_explained() -> Iterator[None]:
    """`with worker_deaths_explained(): …` turns torch's errors about a dead data worker into a DataError."""
    try:
        yield
    except (RuntimeError, ConnectionError, EOFError) as error:
        death = explain_worker_death(error)
        if death is None:
            raise
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch's handler would raise once more, in the middle of the message
        raise death from error


def explain_worker_death(error: BaseException) -> DataError | None:
    """The same in one line, with what to do, if `error` is what torch raises over a dead data worker; else None.

    That is a RuntimeError, or a ConnectionError or EOFError while a batch is received: catch all three.
    """
    if isinstance(error, RuntimeError) and str(error).startswith("DataLoader timed out after"):
        return DataError(
            f"{error}: the data workers send nothing. Shared memory may be full (/dev/shm), or the storage slow: set a lower "
            "num_workers or batch_size, or a longer timeout, in the dataloader; then go on with --resume"
        )
    found = KILLED.search(str(error)) if isinstance(error, RuntimeError) else None
    if found is None and not _broke_off(error):
        return None
    worker = f"data worker {found[1]}" if found else "a data worker"
    signal = (found[2] or "").strip() if found else ""
    if signal == "Bus error":
        why = "shared memory is full: give the machine or container more of /dev/shm"
    else:
        why = "most often the machine is out of memory, sometimes out of shared memory (/dev/shm)"
    return DataError(
        f"{worker} was killed{f' ({signal})' if signal else ''}; {why}, or set a lower num_workers or batch_size in the "
        "dataloader; then go on from the last checkpoint with --resume"
    )


def _broke_off(error: BaseException) -> bool:
    frames = traceback.extract_tb(error.__traceback__) if isinstance(error, ConnectionError | EOFError) else ()
    return any(frame.name == RECEIVING for frame in frames)
