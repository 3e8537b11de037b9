"""The names that a zero-shot tagger chooses from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from linearsr.core.errors import ConfigError, DataError
from linearsr.guidance.taggers.names import told_name


def read_vocabulary(vocabulary: str | Sequence[str]) -> tuple[str, ...]:
    """Names, in their order: a list, or the path of a UTF-8 text file with one a line; blank lines are left out.

    After a comma come synonyms: "sofa, couch". Raises DataError for a file that cannot be read, ConfigError for no name, an
    empty one, or one that comes twice.
    """
    names = _lines(Path(vocabulary)) if isinstance(vocabulary, str) else list(vocabulary)
    if not names or not all(isinstance(name, str) for name in names):
        raise ConfigError(f"tagger.vocabulary is {vocabulary!r}; wanted one name at least, in a list or in a text file")
    first: dict[str, str] = {}
    for name in names:
        told = told_name(name).casefold()
        if told in first:
            raise ConfigError(f"tagger.vocabulary has {first[told]!r} and {name!r}, which are told alike; leave one out")
        first[told] = name
    return tuple(names)


def _lines(file: Path) -> list[str]:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as cause:
        raise DataError(f"tagger.vocabulary: {file} cannot be read: {cause}; wanted UTF-8 text, one name a line") from cause
    return [line.strip() for line in text.splitlines() if line.strip()]
