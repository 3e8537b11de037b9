"""What a tagger says of the pictures in files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from linearsr.core.config import load_config
from linearsr.core.data.file_checks import with_progress
from linearsr.core.data.images import read_image
from linearsr.core.data.lr_pictures import find_pictures
from linearsr.core.errors import ConfigError, UnreadableError
from linearsr.core.protocols import Tagger
from linearsr.core.structures import Tag


@dataclass
class Tagged:
    """tags: of each picture by name; unreadable: why the others cannot be read."""

    tags: dict[str, tuple[Tag, ...]] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)


def pictures_by_name(places: Sequence[str | Path]) -> dict[str, Path]:
    """Of folders, files and .txt lists, named as data sets name them (see `find_pictures`, which raises ConfigError)."""
    if not places:
        raise ConfigError("no pictures were named; add files or folders behind the config")
    return {picture.name: Path(str(picture.lr)) for picture in find_pictures(places)}


def tagger_of(config: str | Path) -> dict[str, Any]:
    """As `model.guidance.tagger` describes it. Raises ConfigError where the config has none."""
    tagger = ((load_config(config).to_dict().get("model") or {}).get("guidance") or {}).get("tagger")
    if tagger is None:
        raise ConfigError(f"{config} has no model.guidance.tagger; wanted a config with one, or --tagger NAME")
    return dict(tagger)


def tag_pictures(tagger: Tagger, pictures: Mapping[str, Path]) -> Tagged:
    """Picture by picture, so that they may have any sizes; one that cannot be read stops no other."""
    found = Tagged()
    for name, path in with_progress(pictures.items(), len(pictures), "looking at the pictures"):
        try:
            found.tags[name] = tuple(tagger(read_image(path)[None])[0])
        except UnreadableError as error:
            found.unreadable.append(str(error))
    return found
