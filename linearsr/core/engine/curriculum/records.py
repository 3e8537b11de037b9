"""What is written of a stage: `start.json` when it begins, `stage.json` when it is over."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from linearsr.core.atomic import write_text
from linearsr.core.errors import ConfigError
from linearsr.core.inspection.differences import Difference, differences
from linearsr.core.stages import Stage

START, DONE = "start.json", "stage.json"
LENGTH = "train_cfg.max_iters"
WITHOUT_EFFECT = (
    "work_dir", "resume", "launcher", "experiment_name", "log_level", "log_processor", "visualizer",
    "default_hooks.logger", "default_hooks.progress", "default_hooks.throughput", "default_hooks.pictures",
    *(f"{phase}_dataloader.{key}" for phase in ("train", "val", "test")
      for key in ("num_workers", "persistent_workers", "pin_memory", "prefetch_factor", "timeout")),
)  # fmt: skip
"""Keys that change nothing in what comes out of a stage."""
SHOWN = 3


@dataclass(frozen=True)
class StageStart:
    """told: "pretrain@knee (iteration 400)", a path, or None; fingerprint: of the file; optimizer: "fresh" or "kept"."""

    told: str | None = None
    fingerprint: str | None = None
    optimizer: str = "fresh"

    def write(self, folder: Path) -> None:
        write_text(folder / START, json.dumps(asdict(self), indent=1) + "\n")


@dataclass(frozen=True)
class StageRecord:
    """name:       of the stage
    config:     its own, without what changes nothing in what comes out
    start:      what it began with
    iterations: done
    ended:      "max_iters", "knee", "divergence", or "stopped" by a hook of somebody else's
    knee:       what KneeHook summed up, or None without one
    record:     how it was made
    """

    name: str
    config: Mapping[str, Any]
    start: StageStart
    iterations: int
    ended: str
    knee: Mapping[str, Any] | None
    record: Mapping[str, Any]

    def write(self, folder: Path) -> None:
        write_text(folder / DONE, json.dumps(asdict(self), indent=1) + "\n")

    @property
    def knee_step(self) -> int | None:
        """None where no knee was confirmed."""
        state = (self.knee or {}).get("state") or {}
        return state["knee_step"] if state.get("confirmed") else None


def read_start(folder: Path) -> StageStart | None:
    path = folder / START
    return StageStart(**json.loads(path.read_text())) if path.is_file() else None


def read_record(folder: Path) -> StageRecord | None:
    """Of a finished stage; None for any other."""
    path = folder / DONE
    if not path.is_file():
        return None
    plain = json.loads(path.read_text())
    return StageRecord(**plain | {"start": StageStart(**plain["start"])})


def what_counts(cfg: Mapping[str, Any]) -> dict[str, Any]:
    """Of a stage's config, in plain JSON types."""
    plain = json.loads(json.dumps(cfg, default=str))
    for key in WITHOUT_EFFECT:
        *above, last = key.split(".")
        node = plain
        for part in above:
            node = node.get(part) or {}
        node.pop(last, None)
    kept: dict[str, Any] = plain
    return kept


def finished(stage: Stage, index: int, folder: Path) -> StageRecord | None:
    """folder: of the stage. One that was made longer since is not finished: it is trained on.

    Raises ConfigError if it was finished with another config: what came out of it is not what the config says.
    """
    record = read_record(folder)
    if record is None:
        return None
    changed = {difference.key: difference for difference in differences(record.config, what_counts(stage.cfg.to_dict()))}
    if changed.keys() == {LENGTH} and changed[LENGTH].after > changed[LENGTH].before:
        return None
    if changed:
        raise ConfigError(
            f"the stage {stage.name!r} in {folder} was finished with another config: {', '.join(_shown(changed))}. Delete "
            f"{folder} and those of later stages to train it again, or use the old config; of one stage alone a key is "
            f"stages.{index}.override.…"
        )
    return record


def _shown(changed: Mapping[str, Difference]) -> Iterator[str]:
    for key, difference in list(changed.items())[:SHOWN]:
        yield f"{key} was {difference.before!r}, is {difference.after!r}"
    if len(changed) > SHOWN:
        yield f"and {len(changed) - SHOWN} more"
