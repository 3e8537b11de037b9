"""ESGF: every stage begins at the knee of the one before (LinearSR, early-stopping guided fine-tuning)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from linearsr.core.errors import ConfigError
from linearsr.core.registries import CURRICULUMS
from linearsr.core.structures import Start

POINT = re.compile(r"(?P<point>knee|last)|(?P<best>best):(?P<metric>\S+)")
WEIGHTS = (".pth", ".pt", ".safetensors", ".bin", ".ckpt")
"""An @ in a name that ends so is part of it."""
WANTED = "'knee', 'last' or 'best:<metric>'"


@CURRICULUMS.register_module()
class ESGF:
    """A stage whose config does not say what it starts from starts from the stage before it.

    start: which of its checkpoints: "knee", "last" (a late start) or "best:psnr_y". Raises ConfigError for any other.

    `init` of a stage: None (weights as they are drawn), "pretrain@knee", "pretrain@best:psnr_y", or the path of a file.
    """

    def __init__(self, start: str = "knee"):
        if not isinstance(start, str) or POINT.fullmatch(start) is None:
            raise ConfigError(f"curriculum.start is {start!r}; wanted {WANTED}")
        self.start = start

    def starts(self, stages: Sequence[tuple[str, Any]]) -> list[Start | None]:
        """See `Curriculum`. Raises ConfigError for an `init` of another form."""
        starts: list[Start | None] = []
        before: str | None = None
        for index, (name, init) in enumerate(stages):
            if init is ...:
                init = None if before is None else f"{before}@{self.start}"
            starts.append(None if init is None else read_start(init, f"stages.{index}.init"))
            before = name
        return starts


def read_start(text: Any, key: str) -> Start:
    """ "pretrain@knee" or a path. key: where it stands, for the message. Raises ConfigError."""
    if not isinstance(text, str) or not text:
        raise ConfigError(f"{key} is {text!r}; wanted None, a path, or a stage's name with @ and {WANTED}")
    stage, at, point = text.partition("@")
    match = POINT.fullmatch(point)
    if at and stage and "/" not in stage and match is not None:
        return Start(stage=stage, point=match["point"] or match["best"], metric=match["metric"])
    if at and Path(text).suffix not in WEIGHTS:
        raise ConfigError(f"{key} is {text!r}; wanted a stage's name with @ and {WANTED}, or the path of a file")
    return Start(file=text)
