"""Who has read these tags: class, options and weights in one line, for caches and their errors."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from linearsr.core.digests import sha256_of

REVISION = 1
"""Raised when the same options and weights come to give other tags."""
SHOWN = 60
"""Characters of a value that are shown; the digest covers all of it."""


def identity_of(name: str, options: Mapping[str, Any], files: Sequence[Path] = ()) -> str:
    """`Name(option=value, …) 0123456789abcdef`. options: JSON types; files: whose content counts, not where they lie."""
    content = [file_digest(file) for file in files]
    text = json.dumps([REVISION, name, options, content], sort_keys=True, ensure_ascii=False)
    told = ", ".join(f"{key}={_shown(value)}" for key, value in options.items())
    return f"{name}({told}) {hashlib.sha256(text.encode()).hexdigest()[:16]}"


def file_digest(path: str | Path) -> str:
    """SHA-256 of the content in hexadecimal; read again only after the file's size or time of change has changed."""
    file = Path(path).resolve()
    state = file.stat()
    return _digest(file, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=256)
def _digest(file: Path, size: int, changed: int) -> str:
    return sha256_of(file)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
