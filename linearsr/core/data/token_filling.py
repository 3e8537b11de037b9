"""Filling a cache of guidance tokens before a run, and checking it: what `tools/cache_guidance.py` does."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader

from linearsr.core.data.file_checks import with_progress
from linearsr.core.data.folder_lock import only_writer
from linearsr.core.data.token_cache import COMMAND
from linearsr.core.data.token_jobs import Job, Seen, SeenPictures
from linearsr.core.data.token_looking import Lookers
from linearsr.core.data.token_sights import Sight
from linearsr.core.data.token_table import PictureLine, read_table, table_path, write_table
from linearsr.core.errors import DataError, UnreadableError

Lines = dict[Path, list[PictureLine]]
"""By the table that they belong in."""


@dataclass
class Filled:
    """Entries that were made, and that were there; what was wrong with damaged ones; pictures that cannot be read."""

    made: int = 0
    present: int = 0
    mended: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


def fill_tokens(jobs: Sequence[Job], lookers: Lookers, workers: int = 0) -> Filled:
    """Makes the entries that are absent or damaged, and the tables. Whatever was done before a kill is not done again.

    workers: processes that read pictures; the guidance looks in this one. Raises DataError while another process fills.
    """
    total, lines = Filled(), Lines()
    with ExitStack() as stack:
        locks = [stack.enter_context(only_writer(folder)) for folder in sorted({job.cache.folder for job in jobs})]
        for job in jobs:
            _begin(job, lookers)
        for seen in _seen(jobs, "describing", workers, locks):
            if seen.sight is None:
                total.unreadable.append(seen.lost)
                continue
            job, description = jobs[seen.job], seen.kept
            total.mended += [seen.damage] if seen.damage else []
            if description is None:
                description = lookers.describe(job, seen.sight)
                job.cache.put(seen.entry, description, seen.sight.told_name)
                total.made += 1
            else:
                total.present += 1
            lines.setdefault(_table(job), []).append(seen.line(description))
        for path, own in lines.items():
            write_table(path, own)
    return total


def verify_tokens(jobs: Sequence[Job], workers: int = 0) -> list[str]:
    """Reads every entry and every picture. What is damaged or missing, and which lines of tables are not as they should be."""
    caches = {job.cache.folder: job.cache for job in jobs}
    wrong = [str(error) for cache in caches.values() for error in cache.damaged()]
    lines = Lines()
    for seen in _seen(jobs, "looking at the pictures", workers):
        if seen.sight is None:
            wrong.append(seen.lost)
        elif seen.kept is not None:
            lines.setdefault(_table(jobs[seen.job]), []).append(seen.line(seen.kept))
        elif not seen.damage:
            wrong.append(f"{seen.sight.told_name} is not in the cache {jobs[seen.job].cache.folder}")
    return wrong + [said for path, own in lines.items() for said in _differences(path, own)]


def _begin(job: Job, lookers: Lookers) -> None:
    """The type of the tokens, which is known when there are some, is part of all keys."""
    if not job.cache.begun:
        job.cache.begin(lookers.describe(job, _first_readable(job)).tokens)


def _first_readable(job: Job) -> Sight:
    for index in range(len(job)):
        with suppress(UnreadableError):
            return job.sight(index)
    raise DataError(f"no picture of {job.part.name} can be read")


def _seen(jobs: Sequence[Job], title: str, workers: int, locks: Sequence[int] = ()) -> Iterator[Seen]:
    pictures = SeenPictures(jobs)
    loader: DataLoader[Any] = DataLoader(pictures, batch_size=None, num_workers=workers, worker_init_fn=partial(_close, locks))
    return with_progress(loader, len(pictures), title)


def _close(locks: Sequence[int], worker: int) -> None:
    """A worker that outlives a killed parent must not hold its locks."""
    for descriptor in locks:
        os.close(descriptor)


def _table(job: Job) -> Path:
    return table_path(job.cache.folder, job.part.name)


def _differences(path: Path, lines: Sequence[PictureLine]) -> list[str]:
    if not path.is_file():
        return [f"{path} is missing; write it: {COMMAND}"]
    try:
        found = {str(line) for own in read_table(path).values() for line in own}
    except DataError as error:
        return [str(error)]
    return [
        f"{path}: the line of {line.name!r} ({line.kind.upper()}) is missing or not what its entry says; write it: {COMMAND}"
        for line in lines
        if str(line) not in found
    ]
