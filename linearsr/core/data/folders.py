"""Pictures in folders of files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from linearsr.core.data.datasets import PictureDataset, PictureFiles
from linearsr.core.data.file_lists import is_list, read_list
from linearsr.core.data.images import list_images
from linearsr.core.errors import ConfigError, DataError
from linearsr.core.registries import DATASETS


@DATASETS.register_module()
class HRFolder(PictureDataset):
    """High-resolution pictures; the pipeline makes their LR.

    root: a folder, or a list in a .txt file (see `read_list`), or several of them; folders are searched with their subfolders.
    """

    def __init__(self, root: str | Sequence[str], pipeline: Sequence[dict[str, Any]], name: str | None = None):
        roots = as_paths(root, "HRFolder")
        several, first = len(roots) > 1, roots[0]
        found = [item for place in roots for item in (read_list(place) if is_list(place) else named_below(place, several))]
        pictures = [PictureFiles(own, hr=path) for own, path in found]
        super().__init__(pictures, pipeline, name or (first.stem if is_list(first) else first.name))


@DATASETS.register_module()
class PairedFolders(PictureDataset):
    """HR and LR pictures, paired by file name without its format.

    hr_root, lr_root: folders, without those below them.
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


def as_paths(root: str | Sequence[str], who: str) -> list[Path]:
    """One or several. Raises ConfigError for none."""
    paths = [Path(place) for place in ([root] if isinstance(root, str) else root)]
    if not paths:
        raise ConfigError(f"{who} has no root; set root to a folder or to a list of them")
    return paths


def named_below(folder: Path, several: bool) -> list[tuple[str, Path]]:
    """(name, picture) of all below the folder. Names are paths below it without the format, with its own name in front where
    there are several. Raises DataError for a folder without pictures."""
    found = [(path.relative_to(folder).with_suffix(""), path) for path in list_images(folder, recursive=True)]
    return [(str(Path(folder.name) / below if several else below), path) for below, path in found]


def _by_name(root: str, suffix: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in list_images(root):
        name = path.stem.removesuffix(suffix)
        if name in found:
            raise DataError(f"{found[name]} and {path} have one name; a pair needs one file of each")
        found[name] = path
    return found
