"""A benchmark's training in a process and a folder of its own; one that is finished is not run again."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from linearsr.core.config import config_hash, load_config

WORDS = 30
"""Of a process that failed, shown as the reason: its last line at least."""


class TrainingFailedError(Exception):
    """The process's return code and the last of what it said."""


def trained(
    worker: Path, result: str, config: Path, folder: Path, options: Sequence[str], config_sha256: str, begin: Sequence[str] = ()
) -> dict[str, Any]:
    """What `worker [begin …] CONFIG FOLDER KEY=VALUE …` wrote to FOLDER/<result>; now, or earlier with the same config.

    config_sha256: of config and options (`hash_of`), which the file has too. Raises TrainingFailedError.
    """
    found = _read(folder / result)
    if found.get("config_sha256") != config_sha256:
        shutil.rmtree(folder, ignore_errors=True)  # half a training, or one of another config
        log = folder.with_suffix(".log")
        log.parent.mkdir(parents=True, exist_ok=True)
        with open(log, "w") as lines:
            words = [sys.executable, str(worker), *begin, str(config), str(folder), *options]
            code = subprocess.run(words, stdout=lines, stderr=subprocess.STDOUT, check=False).returncode
        if code:
            said = " ".join(log.read_text(errors="replace").split()[-WORDS:])
            raise TrainingFailedError(f"left with {code}: {said}; all it said is in {log}")
        found = _read(folder / result)
    return found


def hash_of(config: Path, options: Sequence[str]) -> str:
    """In one thread at a time, as mmengine reads configs. Raises what `load_config` raises."""
    return config_hash(load_config(config, options))


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    return found
