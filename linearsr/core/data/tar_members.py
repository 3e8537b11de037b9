"""Pictures inside tar files, read in place."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from linearsr.core.data.images import FORMATS
from linearsr.core.errors import DataError

BLOCK = 512
"""Bytes; a tar file is made of them, and a block of zeros marks its end."""


@dataclass(frozen=True, slots=True)
class TarMember:
    """A file inside a tar file. offset, size: of its content, in bytes. picture_size: (height, width), where it is known."""

    shard: Path
    name: str
    offset: int
    size: int
    picture_size: tuple[int, int] | None = None

    def __str__(self) -> str:
        return f"{self.shard}:{self.name}"

    def open(self) -> IO[bytes]:
        """The content alone. Raises OSError where the tar file ends before it does."""
        file = io.FileIO(self.shard)
        there = os.fstat(file.fileno()).st_size - self.offset
        if there < self.size:
            file.close()
            raise OSError(f"its tar file is cut short: {max(there, 0)} of {self.size} bytes are there")
        return io.BufferedReader(_Window(file, self.offset, self.size))


class _Window(io.RawIOBase):
    """A part of a file as a file."""

    def __init__(self, file: io.FileIO, offset: int, size: int):
        self.file, self.offset, self.size, self.at = file, offset, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self.at = max(0, {os.SEEK_SET: 0, os.SEEK_CUR: self.at, os.SEEK_END: self.size}[whence] + offset)
        return self.at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        content = os.pread(self.file.fileno(), max(0, min(len(buffer), self.size - self.at)), self.offset + self.at)
        buffer[: len(content)] = content
        self.at += len(content)
        return len(content)

    def close(self) -> None:
        self.file.close()
        super().close()


def split_name(name: str) -> tuple[str, str]:
    """(key, kind) as webdataset has them: a sample's files share the key, which ends at the first dot of the file name.

    kind: "hr" for `key.png` and `key.hr.png`, "lr" for `key.lr.png`, "" for what is no picture of ours.
    """
    path = PurePosixPath(name)
    stem, _, ending = path.name.partition(".")
    kind, _, suffix = ending.rpartition(".")
    known = kind in ("", "hr", "lr") and f".{suffix.lower()}" in FORMATS and stem != ""
    return str(path.with_name(stem or path.name)), (kind or "hr") if known else ""


def members(shard: Path) -> Iterator[TarMember]:
    """Every file of a plain tar file, in its order, from its headers.

    Raises DataError for one that is compressed, damaged or without its end.
    """
    try:
        with tarfile.open(shard, "r:") as tar:
            for info in tar:
                if info.isreg():
                    yield TarMember(shard, info.name, info.offset_data, info.size)
            end = tar.offset
    except (OSError, tarfile.TarError) as error:
        raise DataError(f"{shard} cannot be read as a plain tar file: {error}; copy it again or leave it out") from error
    if shard.stat().st_size < end + BLOCK:
        raise DataError(f"{shard} has no end: it was cut short or never finished; copy it again or leave it out")
