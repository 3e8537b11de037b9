"""Is the file there, and can it be read? Asked when a part with weights is built, before anything is loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from linearsr.core.errors import WeightsError


def require_file(who: str, path: str | Path, key: str) -> Path:
    """The file itself. Raises WeightsError that names it, where it should be and the key."""
    file = Path(path)
    if not file.is_file():
        what = "is a folder" if file.is_dir() else "does not exist"
        raise WeightsError(f"{who}: the file {file} {what}; wanted at {file.absolute()}; nothing was downloaded; change {key}")
    return file


def require_one_of(who: str, folder: str | Path, names: tuple[str, ...], key: str) -> Path:
    """The first of `names` that is in the folder. Raises WeightsError that names them all."""
    for name in names:
        if (Path(folder) / name).is_file():
            return Path(folder) / name
    wanted = " or ".join(names)
    raise WeightsError(
        f"{who}: {folder} holds no {wanted}; wanted in {Path(folder).absolute()}; nothing was downloaded; change {key}"
    )


def read_json(who: str, file: Path) -> dict[str, Any]:
    """Raises WeightsError for what is no JSON object."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as cause:
        said = f"{type(cause).__name__}: {cause}"
        raise WeightsError(f"{who}: {file.absolute()} cannot be read: {said}; wanted a JSON object, as published") from cause
    if not isinstance(content, dict):
        raise WeightsError(f"{who}: {file.absolute()} holds a {type(content).__name__}; wanted a JSON object")
    return content
