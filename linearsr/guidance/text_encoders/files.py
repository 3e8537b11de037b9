"""Where an encoder's files lie: the layout of the Hugging Face hub and that of a diffusers pipeline. Nothing is downloaded."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from linearsr.core.errors import WeightsError
from linearsr.core.weights.wanted import read_json

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
"""Says which shard holds which tensor, where the weights are in several files."""
PICKLED = ("pytorch_model.bin", "pytorch_model.bin.index.json")
PIPELINE = ("text_encoder", "tokenizer")
"""Folders of a diffusers pipeline."""
SENTENCEPIECE = ("tokenizer.model", "spiece.model")
"""Vocabularies that need the package sentencepiece."""
VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json", *SENTENCEPIECE)
"""Any one of them is enough for its own family of tokenizers."""
TOKENIZER = (*VOCABULARIES, "merges.txt", "added_tokens.json", "special_tokens_map.json", "tokenizer_config.json")


@dataclass(frozen=True)
class EncoderFiles:
    """config: what config.json says; weights: one file, or an index and its shards; tokenizer: those of TOKENIZER found."""

    folder: Path
    tokenizer_folder: Path
    config: dict[str, Any]
    weights: tuple[Path, ...]
    tokenizer: tuple[Path, ...]

    @property
    def by_role(self) -> dict[str, Path]:
        """The same names wherever the files lie, and in either layout."""
        model = (self.folder / CONFIG, *self.weights)
        return {f"model/{path.name}": path for path in model} | {f"tokenizer/{path.name}": path for path in self.tokenizer}

    @property
    def needs_sentencepiece(self) -> bool:
        found = {path.name for path in self.tokenizer} & set(VOCABULARIES)
        return found <= set(SENTENCEPIECE)


def find_files(
    who: str, folder: str | os.PathLike[str], tokenizer_folder: str | os.PathLike[str] | None = None
) -> EncoderFiles:
    """Looks the files up; reads config.json and the index only.

    folder: with config.json, weights and tokenizer together; or a pipeline's, with text_encoder/ and tokenizer/ inside.
    tokenizer_folder: where the tokenizer lies, if elsewhere. who: the class, for messages. Raises WeightsError that names the
    file that is missing and where it should be.
    """
    given = Path(folder)
    if not given.is_dir():
        raise _missing(who, CONFIG, given, "the folder does not exist")
    pipeline = (given / PIPELINE[0]).is_dir()
    model = given / PIPELINE[0] if pipeline else given
    beside = given / PIPELINE[1] if pipeline else given
    words = beside if tokenizer_folder is None else Path(tokenizer_folder)
    return EncoderFiles(model, words, _config(who, model), _weights(who, model), _tokenizer(who, words))


def _config(who: str, folder: Path) -> dict[str, Any]:
    if not (folder / CONFIG).is_file():
        raise _missing(who, CONFIG, folder)
    return read_json(who, folder / CONFIG)


def _weights(who: str, folder: Path) -> tuple[Path, ...]:
    if (folder / WEIGHTS).is_file():
        return (folder / WEIGHTS,)
    if (folder / INDEX).is_file():
        return _shards(who, folder / INDEX)
    pickled = [name for name in PICKLED if (folder / name).is_file()]
    found = f"{pickled[0]} is there, but pickled weights are not read; save them as safetensors" if pickled else ""
    raise _missing(who, WEIGHTS, folder, found)


def _shards(who: str, index: Path) -> tuple[Path, ...]:
    places = read_json(who, index).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise WeightsError(f"{who}: {index} has no 'weight_map'; wanted tensor names with the files that hold them")
    shards = [index.parent / str(name) for name in sorted(set(places.values()))]
    for shard in shards:
        if shard.parent != index.parent:
            raise WeightsError(f"{who}: {index} names {shard.relative_to(index.parent)}; wanted files of its own folder")
        if not shard.is_file():
            raise _missing(who, shard.name, index.parent, f"{index.name} names {len(shards)} shards")
    return (index, *shards)


def _tokenizer(who: str, folder: Path) -> tuple[Path, ...]:
    found = tuple(folder / name for name in TOKENIZER if (folder / name).is_file())
    if not any(path.name in VOCABULARIES for path in found):
        raise _missing(who, VOCABULARIES[0], folder, f"nor is {', '.join(VOCABULARIES[1:])}")
    return found


def _missing(who: str, name: str, folder: Path, found: str = "") -> WeightsError:
    return WeightsError(
        f"{who}: {name} is not in {folder.absolute()}{f' ({found})' if found else ''}. Nothing was downloaded: put there, from "
        f"the model's own page, {CONFIG}, {WEIGHTS} (or {INDEX} and its shards) and the tokenizer's files, or set "
        "text_encoder.folder"
    )
