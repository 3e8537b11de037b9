"""Restored pictures to files, and a sheet to look at."""

from __future__ import annotations

from collections import defaultdict
from itertools import chain
from pathlib import Path
from typing import Any

from mmengine.dist import all_gather_object, get_rank
from mmengine.hooks import Hook

from linearsr.core.data.images import write_image
from linearsr.core.evaluation.sheet import SheetRow
from linearsr.core.registries import HOOKS


@HOOKS.register_module()
class PictureWriterHook(Hook):
    """Writes `<out>/restored/<dataset>/<name>_<n>step.png` during a test and keeps the first pictures for a sheet.

    out: a folder. sheet_pictures: of each dataset.
    """

    priority = "LOW"

    def __init__(self, out: str | Path, sheet_pictures: int = 3):
        self.out = Path(out)
        self.sheet_pictures = sheet_pictures
        self.shown: dict[tuple[str, str], dict[int, dict[str, Any]]] = defaultdict(dict)
        self.places: dict[tuple[str, str], int] = {}
        """Of each picture among this rank's own."""

    def after_test_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        for sample in outputs:
            folder = self.out / "restored" / sample["dataset"]
            write_image(folder / f"{sample['name']}_{sample['num_steps']}step.png", sample["sr"])
            key = (sample["dataset"], sample["name"])
            self.places.setdefault(key, len(self.places))
            if key in self.shown or sum(dataset == key[0] for dataset, _ in self.shown) < self.sheet_pictures:
                self.shown[key][sample["num_steps"]] = sample

    def sheet_rows(self) -> list[SheetRow]:
        """The first pictures of each data set, one row each, with every number of steps. Every rank must call it.

        Ranks have the pictures in turn, so that the first of all are among the first of each.
        """
        own = [(self.places[key], get_rank(), key, by_steps) for key, by_steps in self.shown.items()]
        dealt = sorted(chain.from_iterable(all_gather_object(own)), key=lambda entry: entry[:2])
        kept: dict[tuple[str, str], dict[int, dict[str, Any]]] = {}
        for _, _, key, by_steps in dealt:
            if sum(dataset == key[0] for dataset, _ in kept) < self.sheet_pictures:
                kept.setdefault(key, by_steps)
        return [SheetRow.of(by_steps) for by_steps in kept.values()]
