"""What a folder of shards holds: `index.json`, written where they are made, or the headers of the tar files."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from linearsr.core.atomic import write_text
from linearsr.core.data.tar_members import TarMember, members, split_name
from linearsr.core.digests import sha256_of
from linearsr.core.errors import DataError

INDEX: Final = "index.json"
FORMAT: Final = "linearsr shards 1"


@dataclass(frozen=True)
class Shard:
    """A tar file and the pictures in it, as (key, kind, member). bytes, sha256: of the whole file; None without an index."""

    path: Path
    pictures: tuple[tuple[str, str, TarMember], ...]
    bytes: int | None = None
    sha256: str | None = None

    def check_length(self) -> None:
        """Raises DataError where the file has another length than the index says."""
        if self.bytes is None:
            return
        if not self.path.is_file():
            raise DataError(f"{self.path} is missing; {INDEX} beside it lists it: copy it again")
        if (found := self.path.stat().st_size) != self.bytes:
            raise DataError(f"{self.path} is {found} bytes long; {INDEX} beside it says {self.bytes}: copy it again")


def scan(path: Path) -> Shard:
    """A shard without an index, from its headers."""
    found = [(*split_name(member.name), member) for member in members(path)]
    return Shard(path, tuple(picture for picture in found if picture[1]))


def write_index(folder: Path, shards: Iterable[Shard], made: dict[str, Any]) -> Path:
    """made: how the shards were made, for people. Written whole or not at all."""
    content = {"format": FORMAT, "made": made, "shards": [_described(shard) for shard in shards]}
    write_text(folder / INDEX, json.dumps(content, indent=1) + "\n")
    return folder / INDEX


def read_index(folder: Path) -> list[Shard]:
    """Raises DataError for an index that is damaged or of another format."""
    path = folder / INDEX
    try:
        content = json.loads(path.read_text())
        if content["format"] != FORMAT:
            raise DataError(f"{path} is in the format {content['format']!r}; wanted {FORMAT!r}: make the shards again")
        return [_shard(folder, described) for described in content["shards"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} is damaged: {error!r}; copy it again, or delete it to have the shards read") from error


def with_digest(shard: Shard) -> Shard:
    return replace(shard, bytes=shard.path.stat().st_size, sha256=sha256_of(shard.path))


def _described(shard: Shard) -> dict[str, Any]:
    pictures = [
        [key, kind, member.name, member.offset, member.size, member.picture_size] for key, kind, member in shard.pictures
    ]
    return {"name": shard.path.name, "bytes": shard.bytes, "sha256": shard.sha256, "pictures": pictures}


def _shard(folder: Path, described: dict[str, Any]) -> Shard:
    path = folder / described["name"]
    pictures = tuple(
        (key, kind, TarMember(path, name, offset, size, tuple(picture_size)))
        for key, kind, name, offset, size, picture_size in described["pictures"]
    )
    return Shard(path, pictures, int(described["bytes"]), str(described["sha256"]))
