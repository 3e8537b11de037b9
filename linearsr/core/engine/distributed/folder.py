"""The run's folder, which several ranks write into."""

from __future__ import annotations

import tempfile
from pathlib import Path

from mmengine.dist import barrier

from linearsr.core.engine.distributed.agreement import together
from linearsr.core.errors import ConfigError


def claim_folder(folder: Path) -> bool:
    """Whether it was not there; it is now, and every rank can write into it.

    Raises ConfigError on every rank if one of them cannot: found here, no rank waits for another.
    """
    fresh = not folder.exists()
    barrier()  # all have looked
    with together():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
        except OSError as error:
            raise ConfigError(f"{folder}: {error.strerror}; choose another folder with --work-dir or --out") from error
    return fresh
