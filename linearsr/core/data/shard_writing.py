"""Folders of pictures into tar shards."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from linearsr import __version__
from linearsr.core.atomic import atomic_path
from linearsr.core.data.datasets import PictureDataset, PictureFiles
from linearsr.core.data.file_checks import with_progress
from linearsr.core.data.folders import HRFolder, PairedFolders
from linearsr.core.data.images import image_size
from linearsr.core.data.shard_index import INDEX, Shard, read_index, with_digest, write_index
from linearsr.core.data.tar_members import TarMember, members
from linearsr.core.digests import sha256_of
from linearsr.core.errors import ConfigError, DataError, UnreadableError

SHOWN: Final = 5
Entry = tuple[str, str, Path, tuple[int, int]]
"""Key, kind, file, (height, width)."""


def write_shards(
    dataset: PictureDataset, out: str | Path, *, per_shard: int = 1000, made: dict[str, str] | None = None
) -> list[Shard]:
    """The pictures of a folder data set, their files as they are, into `out`/000000.tar … and an index.json.

    Shards and index are whole or absent, the index comes last; the same pictures give the same bytes.
    made: kept in the index. Raises DataError before anything is written for files that cannot be read (all are counted), for
    two keys that agree, and where `out` has an index already.
    """
    out = Path(out)
    if per_shard < 1:
        raise ConfigError(f"per_shard is {per_shard}; wanted a whole number of pictures ≥ 1")
    if (out / INDEX).exists():
        raise DataError(f"{out / INDEX} exists; choose another folder or remove these shards first")
    samples = _entries(dataset.pictures)
    starts = range(0, len(samples), per_shard)
    shards = [
        _write(out / f"{number:06}.tar", samples[start : start + per_shard])
        for number, start in enumerate(with_progress(starts, len(starts), "writing shards"))
    ]
    time = datetime.now(UTC).isoformat(timespec="seconds")
    write_index(out, shards, {"linearsr": __version__, "time_utc": time, **(made or {})})
    return shards


def shards_from_folders(
    root: str, out: str, *, lr_root: str | None = None, per_shard: int = 1000, command: str = ""
) -> list[Shard]:
    """`write_shards` for a folder or list of HR pictures, or for pairs with the LR pictures of the same names in `lr_root`."""
    dataset = HRFolder(root, [], name="shards") if lr_root is None else PairedFolders(root, lr_root, [], name="shards")
    made = {"command": command, "hr": os.path.abspath(root), **({"lr": os.path.abspath(lr_root)} if lr_root else {})}
    return write_shards(dataset, out, per_shard=per_shard, made=made)


def verify_shards(folder: str | Path) -> list[str]:
    """What is wrong with the shards that the folder's index lists: absent, of another length or of another content."""
    folder, wrong = Path(folder), []
    if not (folder / INDEX).is_file():
        raise DataError(f"{folder} has no {INDEX}; there is nothing to hold its shards against")
    shards = read_index(folder)
    for shard in with_progress(shards, len(shards), "reading shards"):
        try:
            shard.check_length()
        except DataError as error:
            wrong.append(str(error))
            continue
        if sha256_of(shard.path) != shard.sha256:
            wrong.append(f"{shard.path} has another content than {INDEX} says: copy it again")
    return wrong


def _entries(pictures: Sequence[PictureFiles]) -> list[list[Entry]]:
    """Of each picture its files. Every header is read."""
    samples, owner, unreadable = [], dict[str, Path](), []
    for picture in with_progress(pictures, len(pictures), "looking at the pictures"):
        folder, stem = os.path.split(picture.name)
        key = os.path.join(folder, stem.replace(".", "_"))  # webdataset's keys end at the first dot
        files = {kind: file for kind, file in (("hr", picture.hr), ("lr", picture.lr)) if isinstance(file, Path)}
        if key in owner:
            raise DataError(f"{owner[key]} and {files['hr']} would both be {key} in the shards; rename one of them")
        owner[key] = files["hr"]
        try:
            samples.append([(key, kind, file, image_size(file)) for kind, file in files.items()])
        except UnreadableError as error:
            unreadable.append(str(error))
    if unreadable:
        more = f"; and {len(unreadable) - SHOWN} more" if len(unreadable) > SHOWN else ""
        raise DataError(f"{len(unreadable)} pictures cannot be read: {'; '.join(unreadable[:SHOWN])}{more}; nothing is written")
    return samples


def _write(path: Path, samples: Sequence[Sequence[Entry]]) -> Shard:
    named = {}
    with atomic_path(path) as temporary, tarfile.open(temporary, "w", format=tarfile.PAX_FORMAT) as tar:
        for key, kind, file, size in (entry for sample in samples for entry in sample):
            several = any(own_kind == "lr" for own in samples for _, own_kind, _, _ in own)
            name = f"{key}{f'.{kind}' if several else ''}{file.suffix.lower()}"
            info = tarfile.TarInfo(name)  # owner and time are left out: the same pictures, the same bytes
            info.size = file.stat().st_size
            with file.open("rb") as content:
                tar.addfile(info, content)
            named[name] = (key, kind, size)
    pictures = tuple((*named[m.name][:2], TarMember(path, m.name, m.offset, m.size, named[m.name][2])) for m in members(path))
    return with_digest(Shard(path, pictures))
