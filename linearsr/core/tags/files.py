"""Tags of one picture in a text file beside it, separated by commas: photo.png has photo.txt."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from linearsr.core.atomic import write_text
from linearsr.core.errors import DataError
from linearsr.core.structures import Tag
from linearsr.core.values import require_finite


def sidecar(picture: str | Path) -> Path:
    """Where the tags of this picture are looked for."""
    return Path(picture).with_suffix(".txt")


def write_tag_file(path: str | Path, tags: Iterable[Tag]) -> None:
    """Writes "one, two, three"; scores are left out. The file appears whole or not at all. Raises DataError as below."""
    names = [tag.name for tag in tags]
    checked_tags(names, None, str(path))
    write_text(path, ", ".join(names) + "\n" if names else "")


def checked_tags(names: Sequence[Any], scores: Sequence[Any] | None, where: str) -> tuple[Tag, ...]:
    """Any language, any number of tags, spaces made single; a name that comes again counts once, with its first score.

    Raises DataError for a name that is no text, empty, or has a comma or a line end in it, and for scores that are not one
    finite number in 0..1 for each.
    """
    for name in names:
        if not isinstance(name, str) or not name.strip() or re.search(r"[,\r\n]", name):
            raise DataError(f"{where}: a tag is {name!r}; wanted a name without commas and line ends")
    if scores is not None and len(scores) != len(names):
        raise DataError(f"{where}: {len(scores)} scores for {len(names)} tags; wanted one for each, or none")
    tags = [Tag(" ".join(name.split()), _score(scores[i], where) if scores else 1.0) for i, name in enumerate(names)]
    return tuple(tags[i] for i in without_repetition(tag.name for tag in tags))


def without_repetition(names: Iterable[str]) -> list[int]:
    """Positions, ascending, of the first of each name; capitals do not count."""
    first: dict[str, int] = {}
    for position, name in enumerate(names):
        first.setdefault(name.casefold(), position)
    return list(first.values())


def not_text(file: Path, cause: Exception) -> DataError:
    """For a file that is missing or in another encoding."""
    return DataError(f"tags of {file} cannot be read: {cause}; wanted UTF-8 text at {file.absolute()}")


def _score(value: Any, where: str) -> float:
    try:
        return require_finite(value, "a score", 0, 1)
    except ValueError as cause:
        raise DataError(f"{where}: a score is {value!r}; wanted a number in 0..1") from cause
