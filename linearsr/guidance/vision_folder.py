"""Files of a frozen picture encoder, as the transformers library saves them. Nothing is downloaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from linearsr.core.errors import WeightsError
from linearsr.core.weights.wanted import read_json, require_file, require_one_of
from linearsr.guidance.packages import require_package
from linearsr.guidance.text_encoders.files import CONFIG, INDEX, WEIGHTS

PREPROCESSOR = "preprocessor_config.json"
"""Says how pictures are normalised, where it is there."""
KEY = "guidance.folder"


@dataclass(frozen=True)
class VisionFolder:
    """config: of the picture's tower; weights: one file, or an index and its shards; mean, std: of each colour."""

    path: Path
    config: Mapping[str, Any]
    weights: tuple[Path, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def kind(self) -> str:
        """ "model_type" of config.json."""
        return str(self.config.get("model_type"))

    @property
    def by_role(self) -> dict[str, Path]:
        return {path.name: path for path in (self.path / CONFIG, *self.weights)}

    def number(self, who: str, name: str) -> int:
        """A size from config.json. Raises WeightsError where it is missing or none."""
        value = self.config.get(name)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise WeightsError(f"{who}: {self.path / CONFIG} has {name} = {value!r}; wanted a whole number of at least 1")
        return value


def vision_folder(
    who: str, folder: str, kinds: Sequence[str], mean: Sequence[float], std: Sequence[float], part: str | None = None
) -> VisionFolder:
    """Looks the package and the files up and reads the JSON ones; imports nothing.

    kinds: values of "model_type" that are read; mean, std: where the folder does not say; part: of config.json that holds the
    tower's sizes, where it holds two towers. Raises MissingExtraError without the transformers library, and WeightsError that
    names the file and where it should be.
    """
    require_package(who, "transformers", "transformers")
    place = Path(folder)
    config = read_json(who, require_file(who, place / CONFIG, KEY))
    if config.get("model_type") not in kinds:
        raise WeightsError(
            f"{who}: {place / CONFIG} is of model_type {config.get('model_type')!r}; wanted {' or '.join(map(repr, kinds))}; "
            f"change {KEY} or guidance.type"
        )
    weights = [require_one_of(who, place, (WEIGHTS, INDEX), KEY)]
    if weights[0].name == INDEX:
        shards = sorted({str(name) for name in read_json(who, weights[0]).get("weight_map", {}).values()})
        weights += [require_file(who, place / Path(shard).name, KEY) for shard in shards]
    told = read_json(who, place / PREPROCESSOR) if (place / PREPROCESSOR).is_file() else {}
    sizes = {**config, **(config.get(part) or {}), "model_type": config["model_type"]} if part else config
    return VisionFolder(
        place, sizes, tuple(weights), _colours(who, told, "image_mean", mean), _colours(who, told, "image_std", std)
    )


def _colours(who: str, told: Mapping[str, Any], name: str, published: Sequence[float]) -> tuple[float, ...]:
    values = told.get(name, published)
    if not isinstance(values, list | tuple) or len(values) != 3 or not all(isinstance(v, int | float) for v in values):
        raise WeightsError(f"{who}: {PREPROCESSOR} has {name} = {values!r}; wanted three numbers, one of each colour")
    return tuple(map(float, values))
