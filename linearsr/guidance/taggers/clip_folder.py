"""What CLIPZeroShotTagger needs of a folder that transformers has saved: which files, and how pictures are normalised."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from linearsr.core.weights.wanted import read_json, require_file, require_one_of

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
"""Of CLIP's training pictures, as published with it."""
WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
"""Pickled ones are not read."""
TOKENIZER = ("tokenizer.json", "vocab.json")
BESIDE = ("merges.txt", "tokenizer_config.json", "special_tokens_map.json", "preprocessor_config.json")
"""Read where they are there."""


@dataclass(frozen=True)
class CLIPFolder:
    """files: all that can change a tag; mean, std: of each colour, for normalisation."""

    path: Path
    files: tuple[Path, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]


def clip_folder(who: str, path: str, key: str) -> CLIPFolder:
    """Raises WeightsError for a file that is missing, a shard of the weights too, or a JSON file that cannot be read."""
    folder = Path(path)
    weights = require_one_of(who, folder, WEIGHTS, key)
    files = [require_file(who, folder / "config.json", key), weights, require_one_of(who, folder, TOKENIZER, key)]
    if weights.suffix == ".json":
        shards = sorted(set(read_json(who, weights).get("weight_map", {}).values()))
        files += [require_file(who, folder / shard, key) for shard in shards]
    files += [folder / name for name in BESIDE if (folder / name).is_file()]
    pictures = folder / "preprocessor_config.json"
    told = read_json(who, pictures) if pictures.is_file() else {}
    return CLIPFolder(folder, tuple(files), tuple(told.get("image_mean", MEAN)), tuple(told.get("image_std", STD)))
