"""Datasets: lists of picture files and a pipeline of transforms over them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch.utils.data import ConcatDataset, Dataset

from linearsr.core.data.images import image_size, list_images
from linearsr.core.data.samplers import DrawIndex
from linearsr.core.errors import ConfigError, DataError
from linearsr.core.registries import DATASETS, TRANSFORMS

Sample = dict[str, Any]
"""name, dataset: str; hr, lr: Tensor [3, H, W] in 0..1 once loaded; seed: int, where the sampler gives one."""


@dataclass(frozen=True)
class PictureFiles:
    """One picture: its name and its files. hr is None without ground truth, lr is None where it is to be made."""

    name: str
    hr: Path | None = None
    lr: Path | None = None


class PictureDataset(Dataset[Sample]):
    """pictures -> pipeline -> samples. name: what a result row calls this dataset."""

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
        files = self.pictures[index]
        sample: Sample = {"name": files.name, "dataset": self.name, "hr_path": files.hr, "lr_path": files.lr}
        if (seed := getattr(index, "seed", None)) is not None:
            sample["seed"] = seed
        for transform in self.transforms:
            sample = transform(sample)
        return sample


@DATASETS.register_module()
class HRFolder(PictureDataset):
    """High-resolution pictures; the pipeline makes their LR.

    root: a folder, or several; searched with their subfolders.
    """

    def __init__(self, root: str | Sequence[str], pipeline: Sequence[dict[str, Any]], name: str | None = None):
        roots = [Path(folder) for folder in ([root] if isinstance(root, str) else root)]
        if not roots:
            raise ConfigError("HRFolder has no root; set root to a folder or a list of folders")
        pictures = [
            PictureFiles(_name(path, folder, several=len(roots) > 1), hr=path)
            for folder in roots
            for path in list_images(folder, recursive=True)
        ]
        super().__init__(pictures, pipeline, name or roots[0].name)


@DATASETS.register_module()
class PairedFolders(PictureDataset):
    """HR and LR pictures, paired by file name without its format.

    hr_suffix, lr_suffix: cut off the end of the names first: "_HR" and "_LR" pair img_HR.png with img_LR.png.
    Raises DataError that lists what has no partner.
    """

    def __init__(
        self,
        hr_root: str,
        lr_root: str,
        pipeline: Sequence[dict[str, Any]],
        name: str | None = None,
        hr_suffix: str = "",
        lr_suffix: str = "",
    ):
        hr, lr = _by_name(hr_root, hr_suffix), _by_name(lr_root, lr_suffix)
        alone = [str(hr[stem]) for stem in hr if stem not in lr] + [str(lr[stem]) for stem in lr if stem not in hr]
        if alone:
            more = f" and {len(alone) - 3} more" if len(alone) > 3 else ""
            raise DataError(
                f"{len(alone)} pictures of {hr_root} and {lr_root} have no partner of the same name: "
                f"{', '.join(alone[:3])}{more}; "
                "names must agree, see hr_suffix and lr_suffix"
            )
        super().__init__(
            [PictureFiles(stem, hr[stem], lr[stem]) for stem in hr], pipeline, name or Path(hr_root).resolve().parent.name
        )


@DATASETS.register_module()
class LRFolder(PictureDataset):
    """Low-resolution pictures without ground truth, to be restored. root: a folder."""

    def __init__(self, root: str, pipeline: Sequence[dict[str, Any]], name: str | None = None):
        super().__init__([PictureFiles(path.stem, lr=path) for path in list_images(root)], pipeline, name or Path(root).name)


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


def check_files(dataset: Dataset[Any], *, names: bool) -> None:
    """Looks at the headers of every picture of a data set of ours before anything is trained or restored.

    Raises DataError for the first file that is no picture, for a pair whose sizes do not belong together and, if `names`,
    for two pictures of one name, which would share a place in the results.
    """
    seen: dict[tuple[str, str], Path | None] = {}
    for part in getattr(dataset, "datasets", [dataset]):
        for files in getattr(part, "pictures", ()):
            key, path = (part.name, files.name), files.hr or files.lr
            if names and key in seen:
                raise DataError(f"{seen[key]} and {path} would both be {'/'.join(key)} in the results; rename one of them")
            seen[key] = path
            sizes = [image_size(file) for file in (files.hr, files.lr) if file is not None]
            if len(sizes) == 2 and not _belong_together(*sizes):
                raise DataError(
                    f"{files.hr} is {sizes[0]} and {files.lr} {sizes[1]}; wanted a whole multiple, the same for both sides"
                )


def _belong_together(hr: tuple[int, int], lr: tuple[int, int]) -> bool:
    scale = hr[0] // lr[0]
    return scale >= 1 and hr == (scale * lr[0], scale * lr[1])


def _name(path: Path, folder: Path, *, several: bool) -> str:
    """Path below the folder without the format; with the folder's name in front where there are several."""
    below = path.relative_to(folder).with_suffix("")
    return str(Path(folder.name) / below if several else below)


def _by_name(root: str, suffix: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in list_images(root):
        name = path.stem.removesuffix(suffix)
        if name in found:
            raise DataError(f"{found[name]} and {path} have one name; a pair needs one file of each")
        found[name] = path
    return found
