"""Samples to a batch: the dict that mmengine hands to the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from linearsr.core.errors import DataError
from linearsr.core.registries import FUNCTIONS


@FUNCTIONS.register_module()
def collate_pictures(samples: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """lr, hr: [B, 3, H, W] in 0..1 (hr is None without ground truth); names, datasets: lists; seeds: list or None.

    lost: list of (file, reason), only where pictures could not be read. LostSamplesHook takes it out before the model sees
    the batch; a collate function of your own hands it on likewise.
    """
    seeds = [sample.get("seed") for sample in samples]
    lost = [entry for sample in samples for entry in sample.get("lost", ())]
    batch = {
        "lr": _stack(samples, "lr"),
        "hr": _stack(samples, "hr"),
        "seeds": None if None in seeds else seeds,
        "names": [sample["name"] for sample in samples],
        "datasets": [sample["dataset"] for sample in samples],
    }
    return batch | {"lost": lost} if lost else batch


def _stack(samples: Sequence[dict[str, Any]], kind: str) -> Tensor | None:
    pictures = [sample[kind] for sample in samples if sample.get(kind) is not None]
    if len(pictures) < len(samples):
        if kind == "lr":
            raise DataError(f"{samples[0]['name']} has no LR; add dict(type='BicubicDegradation', scale=…) to the pipeline")
        return None
    sizes = {tuple(picture.shape) for picture in pictures}
    if len(sizes) > 1:
        raise DataError(f"pictures of one batch differ in size: {sorted(sizes)}; set batch_size=1 or add a RandomCrop")
    return torch.stack(pictures)
