"""What became of every picture: OUT/manifest.jsonl, one line of JSON each, right after a kill at any moment.

While a run goes on, rank 0 adds lines to manifest.jsonl and each other rank to a file of its own. `settle` makes one file of
them, a line a picture, sorted by name. A picture's file is written before its line, so a line is never too early; what is
lost with a line is restored again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

from linearsr.core.atomic import write_text
from linearsr.core.errors import DataError

MANIFEST: Final = "manifest.jsonl"
OF_RANK: Final = "manifest.rank{}.jsonl"


@dataclass(frozen=True)
class Entry:
    """One picture. Sizes are [height, width] in pixels.

    source: as an absolute path; source_sha256: None where the file could not be read. lr_size, output (below OUT),
    output_size, output_sha256, seed (of the noise) and seconds (of the restoring alone) are None for what failed, reason is
    None for what did not.
    """

    name: str
    status: Literal["done", "failed"]
    source: str
    source_sha256: str | None
    num_steps: int
    lr_size: Sequence[int] | None = None
    output: str | None = None
    output_size: Sequence[int] | None = None
    output_sha256: str | None = None
    seed: int | None = None
    seconds: float | None = None
    reason: str | None = None


class Journal:
    """Lines of one rank, one after the other. Raises DataError where the disk is full."""

    def __init__(self, out: Path, rank: int):
        self.path = out / (OF_RANK.format(rank) if rank else MANIFEST)

    def add(self, entry: Entry) -> None:
        line = (json.dumps(asdict(entry)) + "\n").encode()
        try:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                written = os.write(descriptor, line)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise DataError(f"{self.path} could not be written: {error.strerror}; start again to go on") from error
        if written < len(line):
            raise DataError(f"{self.path} could not be written: the disk is full; start again to go on")


def read_manifest(out: str | Path) -> dict[str, Entry]:
    """By name. Later lines count; one that is torn, as a kill leaves it, is as if it were not there."""
    out, found = Path(out), dict[str, Entry]()
    for path in (out / MANIFEST, *_of_ranks(out)):
        if path.is_file():
            for line in path.read_bytes().splitlines():
                entry = _entry(line)
                if entry is not None:
                    found[entry.name] = entry
    return found


def settle(out: Path, entries: Mapping[str, Entry]) -> None:
    """manifest.jsonl holds these alone, and no rank has a file of its own any more. A kill in between changes nothing."""
    lines = [json.dumps(asdict(entries[name])) + "\n" for name in sorted(entries)]
    write_text(out / MANIFEST, "".join(lines))
    for path in _of_ranks(out):
        path.unlink()


def _of_ranks(out: Path) -> list[Path]:
    return sorted(out.glob(OF_RANK.format("*")))


def _entry(line: bytes) -> Entry | None:
    try:
        return Entry(**json.loads(line))
    except (ValueError, TypeError):
        return None
