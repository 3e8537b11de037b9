"""Tags of many pictures in one file: a JSON object a line, to be read, edited and read back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from linearsr.core.atomic import write_text
from linearsr.core.digests import sha256_of
from linearsr.core.errors import DataError, nearest
from linearsr.core.structures import Tag
from linearsr.core.tags.files import checked_tags, not_text

DIGITS = 4
"""Of a score in the file."""
KEYS = ("name", "sha256", "tags", "scores")


@dataclass(frozen=True)
class TagRecord:
    """name: of the picture, its path below the folder without the format, as data sets name it; sha256: of its file."""

    name: str
    tags: tuple[Tag, ...]
    sha256: str | None = None

    @classmethod
    def of_file(cls, name: str, tags: Iterable[Tag], picture: str | Path) -> TagRecord:
        """With the hash of the picture as it is now."""
        return cls(name, tuple(tags), sha256_of(picture))


@dataclass(frozen=True)
class TagTable:
    """What `read_tag_table` gives. path: for messages."""

    path: Path
    records: Mapping[str, TagRecord]

    def tags_of(self, name: str, picture: str | Path | None = None) -> tuple[Tag, ...]:
        """Tags of the picture of that name, perhaps none. Raises DataError if the table does not know it.

        picture: its file; where the table has a hash, one with other content is refused.
        """
        if name not in self.records:
            raise DataError(f"{self.path} has no tags for {name!r}{nearest(name, self.records)}")
        record = self.records[name]
        if picture is not None and record.sha256 is not None and (found := sha256_of(picture)) != record.sha256:
            raise DataError(
                f"{self.path} has tags for another picture named {name!r}: its sha256 is {record.sha256[:12]}…, that of "
                f"{picture} {found[:12]}…; tag it again, or take the sha256 out of that line if the tags are right"
            )
        return record.tags


def write_tag_table(path: str | Path, records: Iterable[TagRecord]) -> None:
    """Writes {"name", "sha256", "tags", "scores"} a line, whole or not at all; scores at 4 digits, left out where all are 1.

    Raises DataError for two records of one name, and for a tag that could not be read back.
    """
    lines: dict[str, str] = {}
    for record in records:
        if record.name in lines:
            raise DataError(f"two pictures are named {record.name!r}; {path} was not written")
        names, scores = [tag.name for tag in record.tags], [round(tag.score, DIGITS) for tag in record.tags]
        checked_tags(names, scores, f"{path}: {record.name!r}")
        line: dict[str, Any] = {"name": record.name} | ({"sha256": record.sha256} if record.sha256 else {}) | {"tags": names}
        if any(score != 1 for score in scores):
            line["scores"] = scores
        lines[record.name] = json.dumps(line, ensure_ascii=False)
    write_text(path, "".join(f"{line}\n" for line in lines.values()))


def read_tag_table(path: str | Path) -> TagTable:
    """sha256 and scores may be missing, blank lines too. Raises DataError with file and line for anything else."""
    file = Path(path)
    records: dict[str, TagRecord] = {}
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as cause:
        raise not_text(file, cause) from cause
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            record = _record(line, f"{file}, line {number}")
            if record.name in records:
                raise DataError(f"{file}, line {number}: {record.name!r} has had a line before; leave one")
            records[record.name] = record
    return TagTable(file, records)


def _record(line: str, where: str) -> TagRecord:
    try:
        said = json.loads(line)
    except ValueError as cause:
        raise DataError(f"{where} is no JSON: {cause}") from cause
    if not isinstance(said, dict) or "name" not in said or "tags" not in said:
        raise DataError(f'{where}: wanted {{"name": …, "tags": […]}}, with "sha256" and "scores" if you like')
    for key in said:
        if key not in KEYS:
            raise DataError(f"{where}: unknown key {key!r}{nearest(key, KEYS)}; known: {', '.join(KEYS)}")
    name, digest, names, scores = (said.get(key) for key in KEYS)
    if not isinstance(name, str) or not name or not isinstance(digest, str | None) or not isinstance(names, list):
        raise DataError(f"{where}: wanted a name and a sha256 in quotes, and tags in a list")
    if scores is not None and not isinstance(scores, list):
        raise DataError(f"{where}: scores are {scores!r}; wanted a list, one for each tag")
    return TagRecord(name, checked_tags(names, scores, where), digest)
