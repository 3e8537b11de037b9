"""Where restored pictures lie, and one run at a time in a folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from linearsr.core.data.datasets import PictureFiles
from linearsr.core.engine.checkpoints import sweep
from linearsr.core.engine.restoring.manifest import read_manifest
from linearsr.core.errors import ConfigError

LOCK: Final = ".lock"


def place_of(name: str) -> str:
    """Of a picture's file, below OUT."""
    return f"{name}.png"


def refuse_to_read_back(out: Path, places: Sequence[str | Path], pictures: Sequence[PictureFiles]) -> None:
    """Raises ConfigError where restored pictures would be restored again, or take the place of their own LR."""
    whole = out.resolve()
    for place in map(Path, places):
        if place.is_dir() and whole.is_relative_to(place.resolve()):
            raise ConfigError(f"--out {out} lies in --pictures {place}, whose pictures are all read; choose another --out")
    own = {whole / place_of(picture.name) for picture in pictures}
    for picture in pictures:
        if Path(str(picture.lr)).resolve() in own:
            raise ConfigError(f"{picture.lr} would be replaced by a restored picture; choose another --out than {out}")


def refuse_nesting(pictures: Sequence[PictureFiles]) -> None:
    """Raises ConfigError where one picture's place would be a folder of another's: below/a.png/b.jpg beside below/a.jpg."""
    places = {Path(place_of(picture.name)): picture.lr for picture in pictures}
    for place, lr in places.items():
        if (other := next((parent for parent in place.parents if parent in places), None)) is not None:
            raise ConfigError(
                f"{places[other]} would become {other}, which is the folder of what {lr} would become; rename one, or restore "
                "them into two folders"
            )


def refuse_to_replace(out: Path, pictures: Sequence[PictureFiles]) -> None:
    """Of a folder that is not a run's. Raises ConfigError where a picture's place is taken."""
    taken = next((picture for picture in pictures if (out / place_of(picture.name)).exists()), None)
    if taken is not None:
        raise ConfigError(
            f"{out / place_of(taken.name)} is there already, and not from here: {out} holds no run.json; choose another --out, "
            "or let --overwrite replace what is in the way"
        )


def holds_any(out: Path, pictures: Sequence[PictureFiles]) -> bool:
    """Whether a picture was restored into it, or a place of one of these is taken, as a kill leaves one without its line."""
    done = any(entry.status == "done" for entry in read_manifest(out).values())
    return done or any((out / place_of(picture.name)).exists() for picture in pictures)


def refuse_to_orphan(out: Path, pictures: Sequence[PictureFiles]) -> None:
    """Of a folder whose lines are given up. Raises ConfigError for pictures in it that would be nobody's."""
    asked = {picture.name for picture in pictures}
    left = sorted(entry.name for entry in read_manifest(out).values() if entry.status == "done" and entry.name not in asked)
    if left:
        raise ConfigError(
            f"{out} holds {left[0]} ({len(left)} in all), which --pictures does not name, and which was made otherwise than "
            "--overwrite would make the others; name all of its pictures, or choose another --out"
        )


@contextmanager
def only_run(out: Path) -> Iterator[None]:
    """Holds the folder, which it makes, and sweeps away what killed runs left half-written.

    A POSIX record lock: it ends with this process however that ends, and data workers, which live on for seconds, do not have
    it. Raises ConfigError while another process holds it, or where nothing can be written.
    """
    fresh = not out.exists()
    try:
        out.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(out / LOCK, os.O_WRONLY | os.O_CREAT, 0o644)
    except OSError as error:
        raise ConfigError(f"{out}: {error.strerror}; choose another folder with --out") from error
    try:
        _lock(descriptor, out)
        sweep(out)
        yield
    except BaseException:
        if fresh and [path.name for path in out.iterdir()] == [LOCK]:  # a run that did not begin leaves nothing
            (out / LOCK).unlink()
            out.rmdir()
        raise
    finally:
        os.close(descriptor)


def _lock(descriptor: int, out: Path) -> None:
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise ConfigError(f"another process is restoring pictures into {out}; wait for it, or choose another --out") from error
