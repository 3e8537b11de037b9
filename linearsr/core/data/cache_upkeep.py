"""Filling a cache before a run, and looking at what it holds: what `tools/cache.py` does."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from torch.utils.data import ConcatDataset, DataLoader, Dataset

from linearsr.core.atomic import PARTIAL
from linearsr.core.config import load_config
from linearsr.core.data.cache import TensorCache, read_entry
from linearsr.core.data.cached import Cached
from linearsr.core.data.datasets import PictureDataset, parts_of
from linearsr.core.data.file_checks import with_progress
from linearsr.core.data.stage_datasets import described_datasets
from linearsr.core.errors import ConfigError, DataError, UnreadableError
from linearsr.core.registries import DATASETS

ABANDONED_SECONDS: Final = 3600
"""Age of an unfinished file that no writer can still be at work on."""


@dataclass
class Filled:
    """Entries that were absent (and made, if asked to), entries that were there, and pictures that cannot be read."""

    absent: int = 0
    present: int = 0
    unreadable: list[str] = field(default_factory=list)


def fill_cache(
    config: str | Path, *, workers: int = 0, make: bool = True, options: Sequence[str] = (), folder: str | Path | None = None
) -> Filled:
    """Every entry that the data sets of a config, and of its stages, can ask for; `make`: absent ones are made, else they are
    counted only.

    workers: data workers; folder: of this cache alone. Raises ConfigError for a config without Cached in a pipeline, or
    without one of that folder.
    """
    if workers < 0:
        raise ConfigError(f"--workers is {workers}; wanted a whole number ≥ 0")
    datasets = [DATASETS.build(dataset) for _, dataset in described_datasets(load_config(config, options))]
    parts = [(part, place) for dataset in datasets for part in parts_of(dataset) if (place := _place(part)) is not None]
    if not parts:
        raise ConfigError(f"{config} has no dict(type='Cached', …) in the pipeline of a data set; there is nothing to cache")
    fillers = [_Filler(part, place, make) for part, place in parts]
    if folder is not None:
        fillers = _of_folder(fillers, folder, config)
    work: DataLoader[Any] = DataLoader(ConcatDataset(fillers), batch_size=None, num_workers=workers)
    total = Filled()
    for absent, present, lost in with_progress(work, len(work), "caching"):
        total.absent += absent
        total.present += present
        total.unreadable += lost
    return total


def verify_cache(folder: str | Path, *, delete: bool = False, may_be_empty: bool = False) -> list[str]:
    """Reads every entry; says what is wrong with the damaged ones. delete: they are removed, as is what killed writers left.

    may_be_empty: or not be there, as before a run. Raises DataError where `folder` is none, or holds nothing and may not.
    """
    cache = TensorCache(folder)
    if not cache.folder.is_dir() and (cache.folder.exists() or not may_be_empty):
        raise DataError(f"{folder} is no folder; wanted that of a Cached transform")
    entries, wrong = sorted(cache.entries()), []
    if not (entries or may_be_empty):
        raise DataError(f"{folder} holds no cache entry; wanted the folder of a Cached transform that was filled")
    for path in with_progress(entries, len(entries), "reading"):
        try:
            read_entry(path)
        except DataError as error:
            wrong.append(str(error))
            if delete:
                path.unlink(missing_ok=True)
    if delete:
        for path in cache.folder.glob(f"??/{PARTIAL}"):
            if time.time() - path.stat().st_mtime > ABANDONED_SECONDS:
                path.unlink(missing_ok=True)
    return wrong


class _Filler(Dataset[tuple[int, int, list[str]]]):
    """(absent, present, reasons why it cannot be read) of each picture."""

    def __init__(self, part: PictureDataset, place: int, make: bool):
        self.part, self.place, self.make = part, place, make

    @property
    def cached(self) -> Cached:
        return self.part.transforms[self.place]

    def __len__(self) -> int:
        return len(self.part)

    def __getitem__(self, index: int) -> tuple[int, int, list[str]]:
        results: dict[str, Any] = self.part.raw(index)
        try:
            for step in self.part.transforms[: self.place]:
                results = step(results)
        except UnreadableError as error:
            return 0, 0, [str(error)]
        return (*self.cached.fill(results, make=self.make), [])


def _of_folder(fillers: Sequence[_Filler], folder: str | Path, config: str | Path) -> list[_Filler]:
    wanted = Path(folder).resolve()
    if found := [filler for filler in fillers if filler.cached.cache.folder.resolve() == wanted]:
        return found
    known = sorted({str(filler.cached.cache.folder) for filler in fillers})
    raise ConfigError(f"{folder} is not the folder of a Cached in {config}; its folder is {', '.join(known)}")


def _place(part: PictureDataset) -> int | None:
    """Where Cached stands in its pipeline."""
    places = [place for place, step in enumerate(part.transforms) if isinstance(step, Cached)]
    if len(places) > 1:
        raise ConfigError(f"the pipeline of {part.name} has {len(places)} Cached; put their transforms into one")
    return places[0] if places else None
