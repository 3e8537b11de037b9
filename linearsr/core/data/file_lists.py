"""Text files that list pictures and folders."""

from __future__ import annotations

import os
from pathlib import Path

from linearsr.core.data.images import FORMATS, is_picture, list_images
from linearsr.core.errors import DataError


def is_list(path: Path) -> bool:
    return path.suffix.lower() == ".txt" and not path.is_dir()


def read_list(path: str | Path) -> list[tuple[str, Path]]:
    """(name, picture) of every picture that the list names, in its order.

    One picture or folder a line, UTF-8, relative to the list's own folder; folders are searched with their subfolders; empty
    lines and lines that begin with # are passed over. A picture listed twice is drawn twice as often. A picture's name is its
    path below the list's folder without the format, or below the root of the file system where it lies elsewhere.
    Raises DataError, which names list and line, for what is missing or no picture, and for a list without pictures.
    """
    path = Path(path)
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read as a list of pictures: {error}") from error
    found = []
    for number, line in enumerate(lines, 1):
        entry = line.strip()
        if entry and not entry.startswith("#"):
            found += [(_name(picture, path.parent), picture) for picture in _pictures(path.parent / entry, f"{path}:{number}")]
    if not found:
        raise DataError(f"{path} lists no picture; wanted a picture or a folder a line")
    return found


def _pictures(entry: Path, where: str) -> list[Path]:
    if entry.is_dir():
        try:
            return list_images(entry, recursive=True)
        except DataError as error:
            raise DataError(f"{where}: {error}") from error
    if not entry.is_file():
        raise DataError(f"{where}: {entry} is missing; entries are relative to the list's own folder")
    if not is_picture(Path(entry.name)):
        raise DataError(f"{where}: {entry} is no picture; known suffixes: {', '.join(FORMATS)}")
    return [entry]


def _name(picture: Path, folder: Path) -> str:
    whole = Path(os.path.abspath(picture)).with_suffix("")  # without following links, so that names are those in the list
    home = Path(os.path.abspath(folder))
    return str(whole.relative_to(home if whole.is_relative_to(home) else whole.anchor))
