"""The same few pictures at every validation, to see what the figures do not say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dist import all_gather_object, get_rank, get_world_size, is_main_process
from mmengine.hooks import Hook
from PIL import Image

from linearsr.core.engine.logging.backend import warn
from linearsr.core.errors import ConfigError
from linearsr.core.evaluation.sheet import SheetRow, contact_sheet
from linearsr.core.registries import HOOKS

NAME = "val_pictures"
BySteps = dict[int, dict[str, Any]]
"""number of steps -> sample"""
SAMPLE_KEYS = {"name", "dataset", "lr", "sr", "hr", "num_steps"}


@HOOKS.register_module()
class ValidationPicturesHook(Hook):
    """A sheet of details (LR, bicubic, ours, HR) to `<run>/validation/iter_<n>.png` and to every backend, as "val_pictures".

    pictures: the first so many of the validation set, whichever rank has them
    detail:   side of the centre that is shown, in LR pixels
    keep:     sheets that stay in the folder, the newest; −1: all. Backends keep theirs
    """

    priority = "LOW"

    def __init__(self, pictures: int = 3, detail: int = 36, keep: int = 10):
        if pictures < 1 or detail < 1 or keep == 0:
            raise ConfigError(
                f"ValidationPicturesHook: pictures={pictures}, detail={detail}, keep={keep}; wanted ≥ 1, or keep=−1 for all"
            )
        self.pictures, self.detail, self.keep = pictures, detail, keep
        self.shown: dict[int, BySteps] = defaultdict(dict)
        """By place in the validation set."""
        self.seen: dict[int, int] = defaultdict(int)
        """number of steps -> samples that this rank has had"""

    def before_val_epoch(self, runner: Any) -> None:
        self.shown.clear()
        self.seen.clear()

    def after_val_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        for sample in outputs:
            if not isinstance(sample, dict) or not sample.keys() >= SAMPLE_KEYS:
                raise ConfigError(
                    f"ValidationPicturesHook needs samples with {', '.join(sorted(SAMPLE_KEYS))}, which this model does "
                    "not give; set default_hooks.pictures=None"
                )
            steps = sample["num_steps"]
            place = self.seen[steps] * get_world_size() + get_rank()  # ranks have the pictures in turn
            self.seen[steps] += 1
            if place < self.pictures:
                self.shown[place][steps] = sample

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        of_all_ranks = all_gather_object(dict(self.shown)) if get_world_size() > 1 else [self.shown]
        self.shown = defaultdict(dict)  # pictures are large
        if not is_main_process() or runner._train_loop is None:
            return
        samples = _in_order(of_all_ranks)
        folder = Path(runner.work_dir) / "validation"
        path = folder / f"iter_{runner.iter}.png"
        try:
            contact_sheet([SheetRow.of(by_steps) for by_steps in samples], path, detail=self.detail)
            _retire(folder, runner.iter, self.keep)
        except OSError as error:
            warn(f"{path} could not be written ({error.strerror or error}); the run goes on")
            return
        with Image.open(path) as sheet:
            runner.visualizer.add_image(NAME, np.asarray(sheet.convert("RGB")), step=runner.iter)


def _in_order(of_all_ranks: Sequence[Mapping[int, BySteps]]) -> list[BySteps]:
    """By place in the validation set. Ranks fill up a last round with pictures of the first: each is shown once."""
    by_place = sorted(
        ((place, samples) for shown in of_all_ranks for place, samples in shown.items()), key=lambda entry: entry[0]
    )
    once: dict[tuple[str, str], BySteps] = {}
    for _, samples in by_place:
        first = next(iter(samples.values()))
        once.setdefault((first["dataset"], first["name"]), samples)
    return list(once.values())


def _retire(folder: Path, newest: int, keep: int) -> None:
    """Deletes the oldest sheets up to iteration `newest` until `keep` are left, as is done with checkpoints."""
    numbers = sorted(int(path.stem[5:]) for path in folder.glob("iter_*.png") if path.stem[5:].isdigit())
    past = [number for number in numbers if number <= newest]
    for number in past[:-keep] if keep > 0 else []:
        (folder / f"iter_{number}.png").unlink(missing_ok=True)
