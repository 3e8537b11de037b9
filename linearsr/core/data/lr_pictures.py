"""Pictures to be restored, whatever they hold: one that cannot be read is reported and takes nobody with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from mimetypes import guess_type
from pathlib import Path
from typing import Any, Final

from torch import Tensor

from linearsr.core.data.collate import collate_pictures
from linearsr.core.data.datasets import PictureDataset, PictureFiles, Sample
from linearsr.core.data.file_lists import is_list, read_list
from linearsr.core.data.folders import named_below
from linearsr.core.data.images import FORMATS, is_picture
from linearsr.core.digests import sha256_of
from linearsr.core.errors import ConfigError, DataError
from linearsr.core.randomness import seed_of_picture
from linearsr.core.registries import FUNCTIONS

NAME: Final = "pictures"
"""What result rows call this data set."""

Lost = dict[str, Any]
"""name; source_sha256, None where not even that could be read; reason."""


def find_pictures(places: Sequence[str | Path]) -> list[PictureFiles]:
    """Every picture of `places`: folders with their subfolders, files, and lists in .txt files (see `read_list`).

    Names are those that HRFolder gives: the path below the folder without the format, behind the folder's own name where
    there are several places; of a file its own name. Raises ConfigError for what is missing, for no pictures, for a file that
    is none by its suffix, and for two pictures of one name.
    """
    found: dict[str, PictureFiles] = {}
    for name, path in (item for place in places for item in _at(Path(place), len(places) > 1)):
        other = found.setdefault(name, PictureFiles(name, lr=path)).lr
        if other != path:
            raise ConfigError(f"{other} and {path} would both be {name}.png; rename one, or name them in two commands")
    if not found:
        raise ConfigError("there are no pictures; name a folder, or files")
    return list(found.values())


def unread_formats(places: Sequence[str | Path]) -> list[Path]:
    """Files below the folders of `places` that are pictures by their suffix, of formats that nobody here reads."""
    folders = [folder for folder in map(Path, places) if folder.is_dir()]
    found = [(folder, path.relative_to(folder)) for folder in folders for path in folder.rglob("*") if path.is_file()]
    return sorted(folder / path for folder, path in found if _is_unread(path))


class LRPictures(PictureDataset):
    """As LRFolder, of pictures found before; a sample has `seed`, from what is in the picture, and `source_sha256`.

    A picture that cannot be used gives a `Lost` in place of a sample.
    """

    def __init__(self, pictures: Sequence[PictureFiles], pipeline: Sequence[dict[str, Any]]):
        super().__init__(pictures, pipeline, NAME)

    def __getitem__(self, index: int) -> Sample:
        picture, sha256 = self.pictures[index], None
        try:
            sha256 = sha256_of(Path(str(picture.lr)))
            sample = self._sample(index, None)
            return sample | {"seed": seed_of_picture(sample["lr"]), "source_sha256": sha256}
        except OSError as error:
            reason = f"{picture.lr} cannot be read: {error.strerror or error}"
        except MemoryError:
            reason = f"{picture.lr} does not fit into memory"
        except DataError as error:
            reason = str(error)
        return {"name": picture.name, "source_sha256": sha256, "reason": reason}


@FUNCTIONS.register_module()
def collate_by_size(samples: Sequence[Sample]) -> dict[str, list[Any]]:
    """batches: of samples of one size each, as `collate_pictures` makes them, with `source_sha256`, a list; lost: of `Lost`."""
    groups: dict[tuple[int, ...], list[Sample]] = {}
    for sample in samples:
        if "lr" in sample:
            groups.setdefault(tuple(sample["lr"].shape), []).append(sample)
    return {
        "batches": [
            collate_pictures(own) | {"source_sha256": [sample["source_sha256"] for sample in own]} for own in groups.values()
        ],
        "lost": [sample for sample in samples if "lr" not in sample],
    }


def one_by_one(batch: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    """Batches of one picture each."""
    return (_part(batch, index) for index in range(len(batch["names"])))


def _at(place: Path, several: bool) -> list[tuple[str, Path]]:
    try:
        if place.is_dir():
            return named_below(place, several)
        if is_list(place):
            return read_list(place)
    except DataError as error:
        raise ConfigError(str(error)) from error
    if not place.exists():
        raise ConfigError(f"{place} is missing; wanted a folder of pictures, or a picture")
    if not is_picture(Path(place.name)):
        raise ConfigError(f"{place} is no picture; known suffixes: {', '.join(FORMATS)}")
    return [(place.stem, place)]


def _is_unread(path: Path) -> bool:
    hidden = any(part.startswith(".") for part in path.parts)
    return not hidden and not is_picture(path) and (guess_type(path.name)[0] or "").startswith("image/")


def _part(batch: Mapping[str, Any], index: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in batch.items():
        if isinstance(value, Mapping):
            found[key] = _part(value, index)
        else:
            found[key] = value[index : index + 1] if isinstance(value, Tensor | list) else value
    return found
