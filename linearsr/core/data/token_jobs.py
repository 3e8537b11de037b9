"""The pictures that a config wants described, one by one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch.utils.data import Dataset

from linearsr.core.data.cached import Cached
from linearsr.core.data.datasets import PictureDataset, parts_of
from linearsr.core.data.describe import Describe
from linearsr.core.data.picture_keys import checksum_of, content_of
from linearsr.core.data.stage_datasets import PHASES, described_datasets
from linearsr.core.data.token_cache import Description, TokenCache
from linearsr.core.data.token_sights import Sight
from linearsr.core.data.token_table import PictureLine
from linearsr.core.errors import ConfigError, DataError, UnreadableError
from linearsr.core.registries import DATASETS


@dataclass(frozen=True)
class Job:
    """The pictures of a data set on their way to its Describe. seeds: of draws, as training has them; (None,) outside of it."""

    part: PictureDataset
    place: int
    seeds: tuple[int | None, ...]

    @property
    def describe(self) -> Describe:
        return self.part.transforms[self.place]

    @property
    def cache(self) -> TokenCache:
        assert self.describe.cache is not None
        return self.describe.cache

    def __len__(self) -> int:
        return len(self.part) * len(self.seeds)

    def sight(self, index: int) -> Sight:
        """Raises UnreadableError."""
        picture, seed = divmod(index, len(self.seeds))
        results: dict[str, Any] = self.part.raw(picture)
        if self.seeds[seed] is not None:
            results["seed"] = self.seeds[seed]
        for step in self.part.transforms[: self.place]:
            results = step(results)
        return self.describe.sight(results)


@dataclass(frozen=True)
class Seen:
    """A picture, with what the cache has of it. sight: None where it cannot be read, for the reason `lost`."""

    job: int
    sight: Sight | None = None
    content: str = ""
    checksum: str = ""
    entry: str = ""
    kept: Description | None = None
    damage: str = ""
    lost: str = ""

    def line(self, description: Description) -> PictureLine:
        assert self.sight is not None
        (_, name, kind), told = self.sight.name, description.told
        return PictureLine(name, kind, told, len(description.tokens), self.content, self.checksum, self.entry)


class SeenPictures(Dataset[Seen]):
    """All pictures of the jobs, in order. The folders must have been begun."""

    def __init__(self, jobs: Sequence[Job]):
        self.jobs = jobs
        self.places = [(number, index) for number, job in enumerate(jobs) for index in range(len(job))]

    def __len__(self) -> int:
        return len(self.places)

    def __iter__(self) -> Iterator[Seen]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> Seen:
        number, own = self.places[index]
        job = self.jobs[number]
        try:
            sight = job.sight(own)
        except UnreadableError as error:
            return Seen(number, lost=str(error))
        content = content_of(sight.picture)
        entry = job.cache.key(content, sight.prompt)
        try:
            kept, damage = job.cache.get(entry), ""
        except DataError as error:
            kept, damage = None, str(error)
        return Seen(number, sight, content, checksum_of(sight.picture), entry, kept, damage)


def jobs_of(cfg: Mapping[str, Any], phases: Sequence[str] = PHASES) -> list[Job]:
    """Of the phases of a config that the data sets' Describe caches; with stages, of every stage, equal data sets once.

    Raises ConfigError where there is none.
    """
    jobs = [
        job
        for phase, dataset in described_datasets(cfg, phases)
        for part in parts_of(DATASETS.build(dataset))
        if (job := _job(part, phase == "train")) is not None
    ]
    if not jobs:
        raise ConfigError(
            f"there is no dict(type='Describe', cache='FOLDER', …) in the pipelines of {', '.join(phases)}; nothing is cached"
        )
    return jobs


def jobs_of_folder(pictures: str | Path, like: Job) -> list[Job]:
    """Of the pictures of a folder, whole, for the cache of another job."""
    describe = {"type": "Describe", "guidance": like.describe.guidance, "cache": str(like.cache.folder), "picture": "hr"}
    dataset = {"type": "HRFolder", "root": str(pictures), "pipeline": [{"type": "LoadPictures"}, describe]}
    return [Job(part, 1, (None,)) for part in parts_of(DATASETS.build(dataset))]


def _job(part: PictureDataset, training: bool) -> Job | None:
    places = [i for i, step in enumerate(part.transforms) if isinstance(step, Describe) and step.cache is not None]
    if len(places) > 1:
        raise ConfigError(f"the pipeline of {part.name} has {len(places)} Describe; the last alone would count: leave one")
    if not places:
        return None
    return Job(part, places[0], _seeds(part.transforms, places[0]) if training else (None,))


def _seeds(transforms: Sequence[Any], place: int) -> tuple[int, ...]:
    """One; where Cached makes variants of the LR that is looked at, one for each of them."""
    if transforms[place].kind(training=True) == "hr":
        return (0,)
    cached = [step for step in transforms[:place] if isinstance(step, Cached)]
    return tuple(cached[-1].seeds()) if cached else (0,)
