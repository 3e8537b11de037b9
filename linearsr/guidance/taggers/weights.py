"""Are the package and the files there? Asked when a tagger is built, before anything is loaded."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from linearsr.core.errors import MissingExtraError, WeightsError


def require_package(who: str, module: str, package: str) -> None:
    """Raises MissingExtraError if `module`, which the distribution `package` brings, is not installed. Imports nothing."""
    if find_spec(module) is None:
        raise MissingExtraError(who, package, "guidance")


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
