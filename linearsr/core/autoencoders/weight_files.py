"""Is the file there? Asked when an autoencoder is built, before anything is loaded."""

from __future__ import annotations

from pathlib import Path

from linearsr.core.errors import WeightsError


def require_file(who: str, path: str | Path, key: str) -> Path:
    """The file itself. Raises WeightsError that names it, where it should be and the key."""
    file = Path(path)
    if not file.is_file():
        what = "is a folder" if file.is_dir() else "does not exist"
        raise WeightsError(f"{who}: the file {file} {what}; wanted at {file.absolute()}; nothing was downloaded; change {key}")
    return file
