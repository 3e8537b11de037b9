"""What the arms of the guidance ablation are told: a text for each picture of a config's data sets."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from linearsr.core.atomic import write_text
from linearsr.core.config import load_config
from linearsr.core.registries import DATASETS, TAGGERS

TAGGER = {"type": "EfficientNetLiteTagger"}
FIXED = "photo"
ARMS = ("none", "tags", "fixed tags", "shuffled tags")
"""Nothing; the picture's own tags; one word for all; the tags of another picture of the same data set."""

Words = dict[tuple[str, str], str]
"""By data set and picture."""


def tags_of(config: Path) -> tuple[Words, float]:
    """Tags of each picture of the training set's HR and the test sets' LR, and the CPU seconds that one took."""
    tagger, found, spent = TAGGERS.build(TAGGER), {}, 0.0
    cfg = load_config(config).to_dict()
    for loader, kind in (("train_dataloader", "hr"), ("test_dataloader", "lr")):
        described = cfg[loader]["dataset"]
        for one in described.get("datasets", [described]):
            for sample in map(DATASETS.build({**one, "pipeline": [{"type": "LoadPictures"}]}).__getitem__, _indices(one)):
                start = time.process_time()
                found[sample["dataset"], sample["name"]] = ", ".join(tag.name for tag in tagger(sample[kind][None])[0])
                spent += time.process_time() - start
    return found, spent / len(found)


def _indices(dataset: Mapping[str, Any]) -> range:
    return range(len(DATASETS.build({**dataset, "pipeline": [{"type": "LoadPictures"}]})))


def arm_words(tags: Words, arm: str, seed: int = 0) -> Words:
    """What that arm's pictures are told."""
    if arm == "shuffled tags":
        return _shuffled(tags, seed)
    return {"none": dict.fromkeys(tags, ""), "tags": tags, "fixed tags": dict.fromkeys(tags, FIXED)}[arm]


def _shuffled(tags: Words, seed: int) -> Words:
    """In each data set the pictures stand in a ring of random order and each is told the next one's tags."""
    shuffled: Words = {}
    for dataset in dict.fromkeys(dataset for dataset, _ in tags):
        ring = [key for key in tags if key[0] == dataset]
        random.Random(seed).shuffle(ring)
        shuffled |= {key: tags[other] for key, other in zip(ring, ring[1:] + ring[:1], strict=True)}
    return shuffled


def write_words(words: Words, folder: Path) -> None:
    """`folder/<data set>/<picture>.txt`."""
    for (dataset, name), text in words.items():
        write_text(folder / dataset / f"{name}.txt", text)
