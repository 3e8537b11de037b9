"""What frozen picture encoders see, patch by patch: TAG's rivals "CLIP" and "DINO" (LinearSR, Tab. 3)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import torch

from linearsr.core.errors import ConfigError
from linearsr.core.structures import GuidanceTokens
from linearsr.core.tensor_values import DTYPES_AND_FLOAT64, require_device, require_dtype
from linearsr.core.values import require_bool
from linearsr.guidance.null import zero_token
from linearsr.guidance.taggers.pictures import checked_pictures, whole_view
from linearsr.guidance.text_encoders.architecture import Architecture
from linearsr.guidance.text_encoders.files import EncoderFiles
from linearsr.guidance.text_encoders.fingerprint import fingerprint
from linearsr.guidance.text_encoders.loading import load_model
from linearsr.guidance.text_guidance import checked_source
from linearsr.guidance.vision_folder import VisionFolder

if TYPE_CHECKING:
    from torch import Tensor


class PatchGuidance(ABC):
    """The outputs of a vision transformer for the patches of a picture, row by row.

    The whole picture is squeezed into a square of `side` pixels, bicubic and antialiased. Nothing is cut off, while the
    encoders' own preparation, for classification, keeps the middle square only (our choice; of a square picture both make the
    same). Each picture is encoded alone, without autocast and without gradients, so that its tokens do not depend, bit for
    bit, on the batch or on the precision of the training around it.

    It is no torch module: its weights are in no checkpoint and no optimiser, and a copy of a model shares them. They are
    loaded on first use.

    files:    of the encoder
    side:     of the square, in pixels
    keep_cls: whether the token of the whole picture comes before those of the patches
    source:   what it looks at in training, "lr" or "hr"
    device:   where it runs; None: where the picture is
    dtype:    "float32", "bfloat16", "float16" or "float64", of weights and tokens
    """

    cacheable = True
    reads_prompts = False

    def __init__(self, files: VisionFolder, side: int, keep_cls: bool, source: str, device: str | None, dtype: str):
        self.files, self.side = files, side
        self.keep_cls = require_bool(keep_cls, "guidance.keep_cls")
        self.source = checked_source(source)
        self.dtype = require_dtype(dtype, "guidance.dtype", DTYPES_AND_FLOAT64)
        self.device = None if device is None else require_device(device, "guidance.device")
        self.width = files.number(type(self).__name__, "hidden_size")
        self._told = {"keep_cls": keep_cls, "side": side, "source": source, "dtype": dtype}
        self._model: Any = None

    @property
    def identity(self) -> str:
        """Of class, options, normalisation and weights. Files are read once in a process; no weights are loaded."""
        options = {**self._told, **self.options(), "mean": self.files.mean, "std": self.files.std}
        told = ", ".join(f"{name}={value!r}" for name, value in self._told.items())
        return f"{type(self).__name__}({told}) {fingerprint(self.files.by_role, {'class': type(self).__name__, **options})}"

    @abstractmethod
    def architecture(self) -> Architecture:
        """The class in the transformers library."""

    @abstractmethod
    def features(self, model: Any, view: Tensor) -> Tensor:
        """view: normalised [1, 3, side, side] -> [1, 1 + patches, D], the token of the whole picture first."""

    def options(self) -> Mapping[str, Any]:
        """What else decides the tokens, as plain values."""
        return {}

    def __call__(self, image_01: Tensor, prompts: Sequence[str] | None = None) -> GuidanceTokens:
        """[B, 3, H, W] in 0..1, any size -> tokens [B, patches, D] on the picture's device, mask True.

        Raises ShapeError or DataError for what are no such pictures, ConfigError for prompts: none is read; WeightsError.
        """
        if prompts is not None:
            raise ConfigError(f"{type(self).__name__} reads no prompts; leave them out, or join it with a guidance that does")
        pictures = checked_pictures(image_01)
        model = self.load().to(self.device or image_01.device)
        tokens = torch.stack([self._tokens(model, picture) for picture in pictures]).to(image_01.device)
        return GuidanceTokens(tokens, torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device))

    def null(self, batch: int) -> GuidanceTokens:
        """A token of zeros, [batch, 1, D], mask True; see `TextGuidance.null`."""
        return zero_token(batch, self.width)

    def load(self) -> Any:
        """The frozen model, from disk if it is not in memory. Raises WeightsError."""
        if self._model is None:
            files = EncoderFiles(self.files.path, self.files.path, dict(self.files.config), self.files.weights, ())
            self._model = load_model(type(self).__name__, self.architecture(), files, self.dtype, self.device or _CPU)
        return self._model

    def unload(self) -> None:
        """Gives the model's memory back; the next call loads it again."""
        self._model = None

    @torch.no_grad()
    def _tokens(self, model: Any, picture: Tensor) -> Tensor:
        """[3, H, W] -> [L, D]."""
        view = whole_view(picture.to(model.device), self.side)
        mean, std = (view.new_tensor(values)[:, None, None] for values in (self.files.mean, self.files.std))
        with torch.autocast(view.device.type, enabled=False):
            tokens = self.features(model, ((view - mean) / std).to(self.dtype))[0, 0 if self.keep_cls else 1 :]
        if not bool(tokens.isfinite().all()):
            raise ConfigError(
                f"{type(self).__name__} gives tokens that are not finite in {self.dtype}; set guidance.dtype to 'bfloat16' or "
                "'float32', whose range is larger"
            )
        return tokens

    def __getstate__(self) -> dict[str, Any]:
        """Without the weights: another process loads its own."""
        return vars(self) | {"_model": None}

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self


_CPU = torch.device("cpu")
