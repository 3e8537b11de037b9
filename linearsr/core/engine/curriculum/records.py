"""`stage.json`: a stage that is finished, and how it went. Without it a stage has not begun or is not over."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from linearsr.core.atomic import write_text
from linearsr.core.config import config_hash
from linearsr.core.errors import ConfigError
from linearsr.core.stages import Stage

NAME = "stage.json"


@dataclass(frozen=True)
class StageRecord:
    """name:          of the stage
    config_sha256: of its own config, without its folder
    started_from:  "pretrain@knee (iteration 400)", a path, or None
    iterations:    done
    ended:         "max_iters", "knee" or "divergence"
    knee:          what KneeHook summed up, or None without one
    record:        how it was made
    """

    name: str
    config_sha256: str
    started_from: str | None
    iterations: int
    ended: str
    knee: Mapping[str, Any] | None
    record: Mapping[str, Any]

    def write(self, folder: Path) -> None:
        write_text(folder / NAME, json.dumps(asdict(self), indent=1) + "\n")

    @property
    def knee_step(self) -> int | None:
        """None where no knee was confirmed."""
        state = (self.knee or {}).get("state") or {}
        return state["knee_step"] if state.get("confirmed") else None


def read_record(folder: Path) -> StageRecord | None:
    """Of a finished stage; None for any other."""
    path = folder / NAME
    return StageRecord(**json.loads(path.read_text())) if path.is_file() else None


def finished(stage: Stage, folder: Path) -> StageRecord | None:
    """folder: of the stage. Raises ConfigError if it was finished with another config: what came out of it is not what the
    config says."""
    record = read_record(folder)
    if record is not None and record.config_sha256 != config_hash(stage.cfg):
        raise ConfigError(
            f"the stage {stage.name!r} in {folder} was finished with another config (see the one saved there, and "
            f"tools/config.py diff); delete {folder} and those of later stages to train it again, or use the old config"
        )
    return record
