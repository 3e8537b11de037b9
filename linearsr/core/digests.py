"""Digests of files."""

from __future__ import annotations

import hashlib
from pathlib import Path


def sha256_of(file: str | Path) -> str:
    """Of what is in it, in hexadecimal. Raises OSError."""
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
