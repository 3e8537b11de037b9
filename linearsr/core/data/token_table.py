"""What was told of each picture, to be read: a JSON object a line, beside the tokens."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from linearsr.core.atomic import write_text
from linearsr.core.data.picture_keys import Name
from linearsr.core.data.token_cache import COMMAND
from linearsr.core.errors import DataError

ENDING: Final = ".jsonl"
Table = dict[tuple[str, str], list["PictureLine"]]
"""Lines by name and kind. A picture has several where `Cached` makes variants of it."""


@dataclass(frozen=True)
class PictureLine:
    """name: in the data set; kind: "hr" or "lr", what was looked at; told: tags, scores, prompt; tokens: how many.

    content, checksum: of the picture (`content_of`, `checksum_of`); entry: the key of its tokens.
    """

    name: str
    kind: str
    told: Mapping[str, Any]
    tokens: int
    content: str
    checksum: str
    entry: str

    def __str__(self) -> str:
        return json.dumps(vars(self), ensure_ascii=False)


def table_path(folder: Path, dataset: str) -> Path:
    return folder / f"{dataset}{ENDING}"


def write_table(path: Path, lines: Iterable[PictureLine]) -> None:
    """Lines of the same name and kind that are there already are replaced; others stay. Sorted, so that the order of work does
    not show."""
    table = read_table(path) if path.is_file() else {}
    fresh: Table = {}
    for line in lines:
        fresh.setdefault((line.name, line.kind), []).append(line)
    merged = table | fresh
    write_text(path, "".join(sorted(f"{line}\n" for own in merged.values() for line in set(map(str, own)))))


def read_table(path: Path) -> Table:
    """Raises DataError, with its number, for what is no line of such a table."""
    table: Table = {}
    lines = path.read_text(encoding="utf-8").split("\n")
    for number, text in enumerate(lines[: None if lines[-1] else -1], start=1):
        try:
            line = PictureLine(**json.loads(text))
        except (ValueError, TypeError) as error:
            raise DataError(f"{path}, line {number}: {error}; delete the file, and write it again: {COMMAND}") from error
        table.setdefault((line.name, line.kind), []).append(line)
    return table


def known_pictures(folder: Path) -> dict[Name, dict[str, str]]:
    """Checksum -> content of all pictures in the tables of a folder, by data set, name and kind."""
    return {
        (path.name.removesuffix(ENDING), name, kind): {line.checksum: line.content for line in lines}
        for path in sorted(folder.glob(f"*{ENDING}"))
        for (name, kind), lines in read_table(path).items()
    }
