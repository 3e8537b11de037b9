"""A log of one JSON object a line, which stays whole and in order over kills and resumes."""

from __future__ import annotations

import errno
import json
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from linearsr.core.atomic import write_text

Line = dict[str, Any]
Phase = Literal["train", "val"]


def read_log(path: str | Path, phase: Phase | None = None) -> list[Line]:
    """The whole lines of a `log.jsonl`, or those of one phase: each step once, in ascending order.

    Each has "step" (iterations done), "phase" and figures; None stands for a figure that was not finite.
    A line that a killed run left half-written is passed over.
    """
    lines = [line for text in Path(path).read_bytes().splitlines() if (line := _parsed(text)) is not None]
    return [line for line in lines if phase in (None, line["phase"])]


def append_line(path: Path, line: Mapping[str, Any]) -> None:
    """In one write, so that a reader or a kill meets whole lines. Raises OSError, with the file as it was."""
    data = (json.dumps(_json_values(line), allow_nan=False) + "\n").encode()
    with open(path, "ab", buffering=0) as file:
        end = file.seek(0, os.SEEK_END)
        try:
            if file.write(data) < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        except OSError:
            file.truncate(end)
            raise


def keep_lines(path: Path, wanted: Callable[[Line], bool]) -> None:
    """Drops all other lines and what is no whole line; the file is replaced at once, and only if that changes it."""
    if not path.is_file():
        return
    before = path.read_bytes()
    kept = [text for text in before.splitlines() if (line := _parsed(text)) is not None and wanted(line)]
    after = b"".join(text + b"\n" for text in kept)
    if after != before:
        write_text(path, after.decode())


def set_aside(path: Path) -> None:
    """Renames `log.jsonl` to `log.1.jsonl`, or the next free number: another run begins in its folder."""
    if path.is_file():
        number = 1
        while (older := path.with_suffix(f".{number}{path.suffix}")).exists():
            number += 1
        path.rename(older)


def _parsed(text: bytes) -> Line | None:
    try:
        line = json.loads(text)
    except ValueError:  # cut short by a kill, or zeros after a loss of power
        return None
    return line if isinstance(line, dict) and isinstance(line.get("step"), int) and "phase" in line else None


def _json_values(line: Mapping[str, Any]) -> Line:
    """Tensors and numpy's scalars as numbers; NaN and infinities, which JSON lacks, as None."""
    plain = {name: value.item() if hasattr(value, "item") else value for name, value in line.items()}
    return {name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in plain.items()}
