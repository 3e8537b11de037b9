"""Samples to a batch: the dict that mmengine hands to the model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from linearsr.core.errors import DataError
from linearsr.core.registries import FUNCTIONS


@FUNCTIONS.register_module()
def collate_pictures(samples: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """lr, hr: [B, 3, H, W] in 0..1 (hr is None without ground truth); names, datasets: lists; seeds: list or None.

    guidance: dict(tokens [B, L, D], mask bool [B, L]), only where samples have "guidance", (tokens [L, D], mask [L]); shorter
    ones are filled up with zeros under mask False. It is a dict of tensors, since such a one mmengine moves to the device.
    prompts: list with a text or None for each picture, only where some has a "prompt" and guidance is not made already.

    lost: list of (file, reason), only where pictures could not be read. LostSamplesHook takes it out before the model sees
    the batch; a collate function of your own hands it on likewise.
    """
    seeds = [sample.get("seed") for sample in samples]
    lost = [entry for sample in samples for entry in sample.get("lost", ())]
    batch: dict[str, Any] = {
        "lr": _stack(samples, "lr"),
        "hr": _stack(samples, "hr"),
        "seeds": None if None in seeds else seeds,
        "names": [sample["name"] for sample in samples],
        "datasets": [sample["dataset"] for sample in samples],
    }
    guidance, prompts = _guidance(samples), [sample.get("prompt") for sample in samples]
    if guidance is not None:
        batch["guidance"] = guidance
    elif prompts.count(None) < len(prompts):
        batch["prompts"] = prompts
    return batch | {"lost": lost} if lost else batch


def _guidance(samples: Sequence[dict[str, Any]]) -> dict[str, Tensor] | None:
    given = [sample["guidance"] for sample in samples if sample.get("guidance") is not None]
    if not given:
        return None
    if len(given) < len(samples):
        alone = next(sample["name"] for sample in samples if sample.get("guidance") is None)
        raise DataError(f"{alone} comes without guidance tokens and others of its batch with them; all pipelines need the step")
    kinds = {f"{tokens.dtype}, {tokens.shape[1]} wide" for tokens, _ in given}
    if len(kinds) > 1:
        raise DataError(f"guidance tokens of one batch differ: {'; '.join(sorted(kinds))}; make all by one guidance")
    tokens, masks = zip(*given, strict=True)
    return {"tokens": pad_sequence(list(tokens), batch_first=True), "mask": pad_sequence(list(masks), batch_first=True)}


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
