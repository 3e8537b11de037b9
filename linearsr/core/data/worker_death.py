"""A data worker that was killed, in words that help."""

from __future__ import annotations

import re

from linearsr.core.errors import DataError

KILLED = re.compile(r"DataLoader worker \(pid(?:\(s\))? ([\d, ]+)\) (?:is killed by signal: ([\w ]+)|exited unexpectedly)")
"""What torch says, from its signal handler or from its queue, whichever notices first."""


def explain_worker_death(error: BaseException) -> DataError | None:
    """The same in one line, with what to do, if `error` is torch's about a dead data worker; else None."""
    found = KILLED.search(str(error)) if isinstance(error, RuntimeError) else None
    if found is None:
        return None
    pids, signal = found[1], (found[2] or "").strip()
    how = f" ({signal})" if signal else ""
    if signal == "Bus error":
        why = "shared memory is full: give the machine or container more of /dev/shm"
    else:
        why = "most often the machine is out of memory, sometimes out of shared memory (/dev/shm)"
    return DataError(
        f"data worker {pids} was killed{how}; {why}, or set a lower num_workers or batch_size in the dataloader; "
        "then go on from the last checkpoint with --resume"
    )
