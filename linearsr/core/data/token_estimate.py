"""How large a cache of tokens gets, and how long it takes, from a few pictures of each data set."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from linearsr.core.data.token_cache import Description
from linearsr.core.data.token_jobs import Job, SeenPictures
from linearsr.core.data.token_looking import Lookers
from linearsr.core.errors import DataError, UnreadableError

SAMPLES: Final = 4
"""Pictures of each job that are looked at, at equal distances."""
FILE_BLOCK: Final = 4096
"""Bytes; in common file systems a file takes whole ones."""
HEADER: Final = 500
"""Bytes of an entry besides its tensors, and of what is told."""
MIB: Final = 2**20


@dataclass(frozen=True)
class Estimate:
    """Of all pictures of the jobs. size: bytes; seconds: to fill; free: bytes of the fullest disk."""

    pictures: int
    size: float
    seconds: float
    free: int

    def __str__(self) -> str:
        return (
            f"{self.pictures:,} pictures: about {self.size / MIB:,.1f} MiB of tokens ({self.free / MIB:,.0f} MiB are free) and "
            f"{self.seconds / 60:,.1f} minutes, going by {SAMPLES} of each data set at most"
        )


def estimate(jobs: Sequence[Job], lookers: Lookers) -> Estimate:
    """Writes nothing. Raises DataError where the tokens would not fit."""
    size = seconds = 0.0
    for job in jobs:
        looked = list(_samples(job, lookers))
        timed = looked[1:] or looked  # the first look has loaded the weights
        size += len(job) * sum(own for own, _ in looked) / max(1, len(looked))
        seconds += len(job) * sum(own for _, own in timed) / max(1, len(timed))
    free = min(shutil.disk_usage(_existing(job.cache.folder)).free for job in jobs)
    if size > free:
        raise DataError(
            f"the tokens need about {size / MIB:,.0f} MiB, and {free / MIB:,.0f} MiB are free; free more, or set "
            "Describe.cache to a folder of another disk"
        )
    return Estimate(sum(map(len, jobs)), size, seconds, free)


def _samples(job: Job, lookers: Lookers) -> Iterator[tuple[int, float]]:
    """Bytes and seconds of each. One in the cache is only read; one that cannot be read is left out: filling names it."""
    pictures = SeenPictures([job])
    for index in sorted({len(job) * part // SAMPLES for part in range(SAMPLES)} if len(job) else ()):
        start = time.perf_counter()
        with suppress(UnreadableError):
            description = pictures[index].kept if job.cache.begun else None
            description = description or lookers.describe(job, job.sight(index))
            yield _file_size(description), time.perf_counter() - start


def _file_size(description: Description) -> int:
    content = description.tokens.nbytes + description.mask.nbytes + HEADER
    return -(-content // FILE_BLOCK) * FILE_BLOCK


def _existing(folder: Path) -> Path:
    return next(place for place in (folder.absolute(), *folder.absolute().parents) if place.is_dir())
