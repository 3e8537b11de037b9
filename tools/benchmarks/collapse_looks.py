"""What a checkpoint of collapse.py's runs holds: norms, sums of its attention, and how well it restores."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from collapse_norms import Batch, largest_sums, weight_norms
from collapse_plan import FLOAT16_SUMS, METRICS
from mmengine.config import Config
from torch import Tensor

from linearsr.core.atomic import write_text
from linearsr.core.config import load_config
from linearsr.core.data import collate_pictures
from linearsr.core.engine.checkpoints import newest_checkpoint
from linearsr.core.engine.export import choose_weights
from linearsr.core.registries import DATASETS, MODELS
from linearsr.core.registries import METRICS as METRIC_CLASSES
from linearsr.core.weights import load_strict, read_pickled, read_state_dict

SIDES = (32, 64, None)
"""Of the squares of LR pixels whose sums are looked at: training's, one of four times its tokens, and whole pictures."""


class Looks:
    """config: the long run's, with the validation pictures that are looked at; folder: its checkpoints."""

    def __init__(self, config: Config, folder: Path):
        self.config, self.folder = config, folder
        self.measured: dict[Path, dict[str, float]] = {}

    def at(self, step: int) -> dict[str, Any]:
        """Of the long run after `step` iterations: "w_q", "w_k"; "sums" by side; "spoiled": how many of the pictures are not
        finite when they are restored with bare float16 sums. Kept in a file beside the checkpoint."""
        kept = self.folder / f"iter_{step}_look.json"
        if not kept.is_file():
            weights = read_state_dict(self.folder / f"iter_{step}.pth")
            model = _built(self.config.model, weights)
            found = {"step": step, **weight_norms(model), "sums": [largest_sums(model, self.pictures, side) for side in SIDES]}
            rounded = {**self.config.model.to_dict()}
            rounded["denoiser"]["attention"] = {"type": FLOAT16_SUMS}
            found |= {"spoiled": spoiled(_built(rounded, weights), self.pictures), "pictures": len(self.pictures)}
            write_text(kept, json.dumps(found, indent=1) + "\n")
        return dict(json.loads(kept.read_text()))

    def metrics_of(self, weights: Path, options: Sequence[str]) -> dict[str, float]:
        """As validation measures them, of a file of weights in the model of a fine-tuning with these options."""
        if weights not in self.measured:
            model = _built(load_config(self.config.filename, options).model, read_state_dict(weights))
            self.measured[weights] = restored(model, self.pictures, METRIC_CLASSES.build(self.config.val_evaluator))
        return self.measured[weights]

    def last_of(self, folder: Path, options: Sequence[str]) -> dict[str, Any] | None:
        """The last checkpoint of a fine-tuning, as its optimiser had the weights: "step", "w_q", "w_k", and the sums of the
        training's tokens. None for one that ended before its first."""
        if not any(folder.glob("iter_*.pth")):
            return None
        checkpoint = newest_checkpoint(folder)
        weights, _ = choose_weights(read_pickled(checkpoint), "raw", checkpoint)
        model = _built(load_config(self.config.filename, options).model, weights)
        return {"step": int(checkpoint.stem[5:]), **weight_norms(model)} | largest_sums(model, self.pictures, SIDES[0])

    @cached_property
    def pictures(self) -> list[Batch]:
        dataset = DATASETS.build(self.config.val_dataloader["dataset"])
        return [collate_pictures([dataset[index]]) for index in range(len(dataset))]


def restored(model: Any, pictures: Sequence[Batch], metric: Any) -> dict[str, float]:
    """METRICS at one step, as `metric` has them in a validation."""
    for picture in pictures:
        (name,), (dataset,), (hr,), (lr,) = (picture[key] for key in ("names", "datasets", "hr", "lr"))
        sample = {"name": name, "dataset": dataset, "sr": model.restore(picture["lr"])[0], "hr": hr, "lr": lr}
        metric.process(None, [sample | {"num_steps": 1, "seconds": 0.0}])
    figures = metric.evaluate(len(pictures))
    return {name: figures[name] for name in METRICS}


def spoiled(model: Any, pictures: Sequence[Batch]) -> int:
    """How many are not finite when restored as the model computes in training."""
    model.train()
    return sum(not bool(model.restore(picture["lr"]).isfinite().all()) for picture in pictures)


def _built(described: Mapping[str, Any], weights: Mapping[str, Tensor]) -> Any:
    model = MODELS.build(described)
    load_strict(model, weights, "the checkpoint")
    return model.eval()
