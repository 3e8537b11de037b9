"""Datasets: lists of pictures and a pipeline of transforms over them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch.utils.data import ConcatDataset, Dataset

from linearsr.core.data.images import Embedded
from linearsr.core.data.samplers import DrawIndex
from linearsr.core.data.substitutes import first_readable
from linearsr.core.errors import ConfigError
from linearsr.core.registries import DATASETS, TRANSFORMS

Sample = dict[str, Any]
"""name, dataset: str; hr, lr: Tensor [3, H, W] in 0..1 once loaded; seed: int, where the sampler gives one; lost: list of
(file, reason), where this sample stands in for pictures that cannot be read."""


@dataclass(frozen=True)
class PictureFiles:
    """One picture: its name and its files. hr is None without ground truth, lr is None where it is to be made."""

    name: str
    hr: Path | Embedded | None = None
    lr: Path | Embedded | None = None

    @property
    def files(self) -> list[Path | Embedded]:
        return [file for file in (self.hr, self.lr) if file is not None]


class PictureDataset(Dataset[Sample]):
    """pictures -> pipeline -> samples. name: what a result row calls this dataset.

    A draw (an index with a seed, as in training) whose picture cannot be read gets another picture, the same for any number
    of workers and ranks, and says so in `lost`. For a plain index, as in a test, it is an UnreadableError.
    """

    metainfo: dict[str, Any] = {}  # noqa: RUF012  (mmengine reads it; never written)

    def __init__(self, pictures: Sequence[PictureFiles], pipeline: Sequence[dict[str, Any]], name: str):
        if not name or {"/", "\\", ".."} & {*name, name}:
            raise ConfigError(f"{type(self).__name__}: name is {name!r}; it names a folder of results: wanted no slashes")
        self.pictures = list(pictures)
        self.transforms = [TRANSFORMS.build(step) for step in pipeline]
        self.name = name

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> Sample:
        if not isinstance(index, DrawIndex):
            return self._sample(index, None)
        sample, lost = first_readable(lambda other: self._sample(other, index.seed), index, len(self))
        if lost:
            sample["lost"] = [(str(self.pictures[other].files[0]), reason) for other, reason in lost]
        return sample

    def raw(self, index: int) -> Sample:
        """What the pipeline starts from."""
        picture = self.pictures[index]
        return {"name": picture.name, "dataset": self.name, "hr_path": picture.hr, "lr_path": picture.lr}

    def check(self) -> None:
        """Looks at what holds the pictures, such as shards, before a run. Raises DataError."""

    def _sample(self, index: int, seed: int | None) -> Sample:
        sample = self.raw(index)
        if seed is not None:
            sample["seed"] = seed
        for transform in self.transforms:
            sample = transform(sample)
        return sample


@DATASETS.register_module()
class JoinedDatasets(ConcatDataset[Sample]):
    """Several datasets, one after the other; each keeps its name and its rows in the results."""

    metainfo: dict[str, Any] = {}  # noqa: RUF012

    def __init__(self, datasets: Sequence[dict[str, Any]]):
        if not datasets:
            raise ConfigError("JoinedDatasets has no datasets; give a list of dict(type=…)")
        super().__init__([DATASETS.build(dataset) for dataset in datasets])

    def __getitem__(self, index: int) -> Sample:
        part = bisect_right(self.cumulative_sizes, index)
        own = int(index) - (self.cumulative_sizes[part - 1] if part else 0)
        return self.datasets[part][DrawIndex(own, index.seed) if isinstance(index, DrawIndex) else own]


def parts_of(dataset: Dataset[Any]) -> list[PictureDataset]:
    """The data sets of ours that it consists of: itself, or those that are joined in it, however deep."""
    if isinstance(dataset, PictureDataset):
        return [dataset]
    return [part for inner in getattr(dataset, "datasets", ()) for part in parts_of(inner)]
