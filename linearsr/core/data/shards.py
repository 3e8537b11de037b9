"""Pictures in tar shards."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from linearsr.core.data.datasets import PictureDataset, PictureFiles
from linearsr.core.data.folders import as_paths
from linearsr.core.data.shard_index import INDEX, Shard, read_index, scan
from linearsr.core.data.tar_members import TarMember
from linearsr.core.errors import DataError
from linearsr.core.registries import DATASETS


@DATASETS.register_module()
class TarShards(PictureDataset):
    """Pictures in plain tar files, any of which is read in place: no unpacking, no copies.

    root: a folder of .tar files, or a .tar file, or several of them. Members are named as webdataset has them: `key.jpg` or
    `key.hr.jpg` is an HR picture, `key.lr.png` its LR; other members are passed over.
    Folders with an `index.json` of `tools/make_shards.py` are open at once; of others every header is read at the start.
    Raises DataError for a shard that is cut short and for a key with two HR pictures or an LR alone.
    """

    def __init__(self, root: str | Sequence[str], pipeline: Sequence[dict[str, Any]], name: str | None = None):
        roots = as_paths(root, "TarShards")
        self.shards = [shard for place in roots for shard in shards_at(place)]
        pictures = [picture for shard in self.shards for picture in _pictures(shard)]
        if not pictures:
            raise DataError(f"the shards at {', '.join(map(str, roots))} hold no picture; wanted members such as key.jpg")
        super().__init__(pictures, pipeline, name or (roots[0].stem if roots[0].suffix == ".tar" else roots[0].name))

    def check(self) -> None:
        """Every shard that an index describes has the length that it says."""
        for shard in self.shards:
            shard.check_length()


def shards_at(place: Path) -> list[Shard]:
    """Those of a folder, in order of their names, or the one that `place` is."""
    if not place.exists():
        raise DataError(f"{place} is missing; wanted a folder of .tar files, or one of them")
    folder = place if place.is_dir() else place.parent
    files = sorted(place.glob("*.tar")) if place.is_dir() else [place]
    indexed = {shard.path: shard for shard in read_index(folder)} if (folder / INDEX).is_file() else None
    if indexed is None:
        if not files:
            raise DataError(f"{place} holds no .tar file")
        return [scan(file) for file in files]
    strange = [file.name for file in files if file not in indexed]
    if strange:
        raise DataError(f"{folder / INDEX} does not know {', '.join(strange[:3])}; move what it does not list elsewhere")
    return list(indexed.values()) if place.is_dir() else [indexed[place]]


def _pictures(shard: Shard) -> list[PictureFiles]:
    samples: dict[str, dict[str, TarMember]] = {}
    for key, kind, member in shard.pictures:
        sample = samples.setdefault(key, {})
        if kind in sample:
            raise DataError(f"{sample[kind]} and {member.name} have one key and kind; a sample has one {kind.upper()} picture")
        sample[kind] = member
    alone = [str(sample["lr"]) for sample in samples.values() if "hr" not in sample]
    if alone:
        raise DataError(f"{alone[0]} has no HR picture of the same key in its shard ({len(alone)} such)")
    return [PictureFiles(key, hr=sample["hr"], lr=sample.get("lr")) for key, sample in samples.items()]
