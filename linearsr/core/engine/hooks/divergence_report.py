"""`divergence.json` in a run's folder: each time that a run diverged or was about to, and what was done."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process

from linearsr.core.atomic import write_text
from linearsr.core.engine.optimisation import Diverged
from linearsr.core.engine.optimisation.blame import Cause

REPORT = "divergence.json"


def note_divergence(runner: Any, iteration: int, event: Diverged, cause: Cause, done: str) -> None:
    """Appends one entry to the list, over resumes too. The file is replaced as a whole; the first rank writes.

    A report that cannot be written is a warning: what it is about is worse.
    """
    if not is_main_process():
        return
    alarm = event.alarm
    entry = {
        "iteration": iteration,
        "what": event.what,
        "layer": None if alarm is None else alarm.layer,
        "figure": event.value if math.isfinite(event.value) else None,
        "limit": None if alarm is None else alarm.limit,
        "text": cause.text,
        "done": done,
    }
    path = Path(runner.work_dir) / REPORT
    try:
        earlier = json.loads(path.read_text()) if path.is_file() else []
        write_text(path, json.dumps([*earlier, entry], indent=1) + "\n")
    except (OSError, ValueError, TypeError) as error:
        runner.logger.warning(f"{path} could not be written: {error}")
