"""What taggers that run a network share: loaded when first asked, frozen, one picture at a time, unloaded on demand."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from linearsr.core.errors import WeightsError
from linearsr.core.structures import Tag
from linearsr.core.tensor_values import DTYPES, require_device, require_dtype
from linearsr.guidance.taggers.identity import identity_of
from linearsr.guidance.taggers.pictures import checked_pictures
from linearsr.guidance.taggers.selection import Selection


@dataclass(frozen=True)
class Classifier:
    """module: the network; classes: what its outputs are called; thresholds: its own, one per class, if it brings them."""

    module: nn.Module
    classes: Sequence[str]
    thresholds: Sequence[float] | None = None


class NetworkTagger(ABC):
    """One network, one score per class. It is no torch module itself: its weights are in nobody's state dict or optimiser.

    selection: which scores become tags
    options:   what else changes the tags, as JSON types; files: of the weights, whose content is part of `identity`
    device:    where it runs; None: where the picture is. Rounding differs between devices; `identity` does not
    dtype:     "float32", "bfloat16" or "float16", of weights and pictures; scores are float32
    Raises ConfigError for an unknown device or dtype.
    """

    def __init__(self, selection: Selection, options: Mapping[str, Any], files: Sequence[Path], device: str | None, dtype: str):
        self.selection = selection
        self.dtype = require_dtype(dtype, "tagger.dtype", DTYPES)
        self.device = None if device is None else require_device(device, "tagger.device")
        self._told = {**options, **asdict(selection), "dtype": dtype}
        self._files = tuple(files)
        self._ready: Classifier | None = None

    @property
    def identity(self) -> str:
        """Of class, options, dtype and weights. The first call reads the weights files, without loading them."""
        return identity_of(type(self).__name__, self._told, self._files)

    @property
    def order(self) -> str:
        """Of the tags: "score" or "index"."""
        return self.selection.order

    def __call__(self, image_01: Tensor) -> list[list[Tag]]:
        """[B, 3, H, W] in 0..1, any size -> each picture's tags. Raises ShapeError or DataError for what is no such picture."""
        pictures = checked_pictures(image_01)
        classifier = self._loaded()
        device = self.device or image_01.device
        classifier.module.to(device, self.dtype)
        return [self._tags(classifier, picture.to(device)) for picture in pictures]

    def unload(self) -> None:
        """Gives the network's memory back; the next call loads it again."""
        self._ready = None

    @abstractmethod
    def load(self) -> Classifier:
        """The network, on the CPU. Raises WeightsError."""

    @abstractmethod
    def scores(self, module: Any, picture: Tensor) -> Tensor:
        """picture: float32 [3, H, W] in 0..1, where the network is -> [C] in 0..1."""

    def _loaded(self) -> Classifier:
        if self._ready is None:
            self._ready = self.load()
            self._ready.module.eval().requires_grad_(False)
        return self._ready

    @torch.no_grad()
    def _tags(self, classifier: Classifier, picture: Tensor) -> list[Tag]:
        with torch.autocast(picture.device.type, enabled=False):  # the same tags in training, in use and in a cache
            scores = self.scores(classifier.module, picture).float()
        if not bool(scores.isfinite().all()):
            raise WeightsError(
                f"{type(self).__name__} gives scores that are not finite: its weights are damaged, or tagger.dtype="
                f"{self._told['dtype']!r} is too narrow for them; try tagger.dtype='float32'"
            )
        return self.selection.choose(scores, classifier.classes, classifier.thresholds)
