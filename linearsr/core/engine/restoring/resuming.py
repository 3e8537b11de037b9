"""What is left to do of a folder that was begun before."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from mmengine.dist import all_gather_object, get_rank, get_world_size

from linearsr.core.data.datasets import PictureFiles
from linearsr.core.data.file_checks import with_progress
from linearsr.core.data.images import image_size
from linearsr.core.digests import sha256_of
from linearsr.core.engine.distributed import together
from linearsr.core.engine.restoring.manifest import Entry
from linearsr.core.engine.restoring.places import place_of
from linearsr.core.errors import ConfigError, UnreadableError

T = TypeVar("T")


@dataclass(frozen=True)
class Look:
    """At one picture. done: it was restored, from this very content, and the result is as it was.
    size: (height, width) of what is not done; None where the header cannot be read.
    displaces: the absolute path of another file of another content that was restored under this name, or None."""

    done: bool
    size: tuple[int, int] | None = None
    displaces: str | None = None


def look_at_all(out: Path, pictures: Sequence[PictureFiles], entries: Mapping[str, Entry]) -> list[Look]:
    """Each rank looks at its share; all have all that was found. Every rank must call it."""
    rank, ranks = get_rank(), get_world_size()
    share = pictures[rank::ranks]
    with together():
        found = [
            look(out, picture, entries.get(picture.name))
            for picture in with_progress(share, len(share), "looking at the pictures")
        ]
    shares = all_gather_object(found)
    return [shares[index % ranks][index // ranks] for index in range(len(pictures))]


def look(out: Path, picture: PictureFiles, entry: Entry | None) -> Look:
    file = Path(str(picture.lr))
    if entry is None or entry.status != "done":
        return Look(False, _quietly(image_size, file))
    if entry.source_sha256 != _quietly(sha256_of, file):
        other = None if entry.source == absolute(file) else entry.source
        return Look(False, _quietly(image_size, file), displaces=other)
    if entry.output_sha256 != _quietly(sha256_of, out / place_of(picture.name)):
        return Look(False, _quietly(image_size, file))
    return Look(True)


def refuse_to_displace(out: Path, pictures: Sequence[PictureFiles], looks: Sequence[Look]) -> None:
    """Raises ConfigError where the result of another file would be replaced: two folders are mixed up."""
    for picture, seen in zip(pictures, looks, strict=True):
        if seen.displaces is not None:
            raise ConfigError(
                f"{out} holds {picture.name} of {seen.displaces}; {picture.lr} would take its place: choose another --out, or "
                "let --overwrite replace it"
            )


def absolute(file: str | Path) -> str:
    """Without following links: as the user sees it."""
    return os.path.abspath(file)


def _quietly(read: Callable[[Path], T], file: Path) -> T | None:
    try:
        return read(file)
    except (OSError, UnreadableError):
        return None
