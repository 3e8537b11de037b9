"""What all our text encoders share: frozen, loaded on first use, one text at a time."""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Self

import torch
from torch import Tensor

from linearsr.core.errors import ConfigError, WeightsError
from linearsr.core.structures import GuidanceTokens
from linearsr.core.tensor_values import DTYPES_AND_FLOAT64, require_device, require_dtype
from linearsr.core.values import require_bool
from linearsr.guidance.text_encoders.architecture import Architecture
from linearsr.guidance.text_encoders.files import find_files
from linearsr.guidance.text_encoders.fingerprint import fingerprint
from linearsr.guidance.text_encoders.loading import load_model, load_tokenizer, require_packages
from linearsr.guidance.text_encoders.options import require_max_tokens
from linearsr.guidance.text_encoders.padding import pad_tokens
from linearsr.guidance.text_encoders.texts import TextCutWarning, require_texts


class Loaded(NamedTuple):
    tokenizer: Any
    model: Any


class Reading(NamedTuple):
    """ids: what the model reads; kept: positions whose outputs are the text's tokens; cut: how many tokens were not read."""

    ids: list[int]
    kept: list[int]
    cut: int


class FrozenTextEncoder:
    """A text encoder of the transformers library, from a folder on disk.

    folder:           config.json, weights as safetensors, tokenizer; or a diffusers pipeline, whose text_encoder/ and
                      tokenizer/ are taken
    tokenizer_folder: where the tokenizer lies, if elsewhere
    max_tokens:       the most that is read of a text, marks of its ends included; the rest is cut, which is told once as a
                      TextCutWarning. None: what its family was trained with
    dtype:            "float32", "bfloat16", "float16" or "float64": of weights and tokens
    device:           of weights and tokens, as torch names it; None: the process's GPU where torch sees one, else the CPU
    unload_after_use: frees the memory after every call, and loads again at the next

    It is no torch module: its weights are in no checkpoint, no optimiser and no average of weights, and a copy of a model that
    holds it shares it. A text's tokens are computed without autocast and without gradients, each text alone in a batch of one,
    so they do not depend, bit for bit, on the other texts, on padding or on the precision of the training around it. (On
    another machine, with another number of threads or another release of torch or transformers the last bits may differ.)

    Raises WeightsError where files are missing or of another architecture, ConfigError for an option, MissingExtraError without
    transformers: all of it before anything is loaded.
    """

    architecture: ClassVar[Architecture]

    def __init__(
        self,
        folder: str | os.PathLike[str],
        tokenizer_folder: str | os.PathLike[str] | None = None,
        max_tokens: int | None = None,
        dtype: str = "float32",
        device: str | None = "cpu",
        unload_after_use: bool = False,
    ):
        self._name = type(self).__name__
        self._files = find_files(self._name, folder, tokenizer_folder)
        self._sizes = self.architecture.sizes(self._name, self._files)
        self.max_tokens = require_max_tokens(max_tokens, self.architecture.usual_tokens, self._sizes.positions, self._name)
        self.dtype = require_dtype(dtype, "text_encoder.dtype", DTYPES_AND_FLOAT64)
        self.device = require_device(device or _usual_device(), "text_encoder.device")
        self.unload_after_use = require_bool(unload_after_use, "text_encoder.unload_after_use")
        require_packages(self._name, self._files)
        self._loaded: Loaded | None = None
        self._told_of_cut = False

    @property
    def width(self) -> int:
        """D of the tokens, from config.json."""
        return self._sizes.width

    @property
    def identity(self) -> str:
        """Class, options that tokens depend on, and a digest of these and of the contents of all files.

        Not of the folder, the device or `unload_after_use`. Each file is read once in a process, and again only if its size or
        date has changed (`content_digest`); no weights are loaded.
        """
        options = self._options()
        digest = fingerprint(self._files.by_role, {"class": self._name, **options})
        return f"{self._name}(max_tokens={options['max_tokens']}, dtype={options['dtype']}) {digest}"

    def __call__(self, texts: Sequence[str]) -> GuidanceTokens:
        """B texts -> tokens [B, L, D] in `dtype` on `device`, exactly 0 behind the mask [B, L]. Equal texts are encoded once.

        Raises DataError for what are no texts, and what loading raises.
        """
        wanted = require_texts(texts)
        encoded: dict[str, Tensor] = {}
        try:
            for text in wanted:
                if text not in encoded:
                    encoded[text] = self._encode(text)
        finally:
            if self.unload_after_use:
                self.unload()
        return pad_tokens([encoded[text] for text in wanted])

    @property
    def loaded(self) -> bool:
        return self._loaded is not None

    def load(self) -> Loaded:
        """Tokenizer and model, from disk if they are not in memory. The first use does this by itself."""
        if self._loaded is None:
            tokenizer = load_tokenizer(self._name, self._files)
            self._loaded = Loaded(tokenizer, load_model(self._name, self.architecture, self._files, self.dtype, self.device))
        return self._loaded

    def unload(self) -> None:
        """Gives the memory back; the next use loads again."""
        self._loaded = None
        gc.collect()  # cycles keep the first model that a process loads
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _options(self) -> Mapping[str, object]:
        """What tokens depend on besides the files."""
        return {"max_tokens": self.max_tokens, "dtype": str(self.dtype).removeprefix("torch.")}

    def _read(self, tokenizer: Any, text: str) -> Reading:
        ids, cut = cut_to(tokenizer, text, self.max_tokens)
        return Reading(ids, list(range(len(ids))), cut)

    def _hidden(self, model: Any, ids: Tensor) -> Tensor:
        """ids int64 [1, N] -> [1, N, D]."""
        return model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state

    def _encode(self, text: str) -> Tensor:
        """-> [L, D], L ≥ 1."""
        loaded = self.load()
        reading = self._read(loaded.tokenizer, text)
        if not reading.kept:
            raise WeightsError(
                f"{self._name}: the tokenizer in {self._files.tokenizer_folder} makes no token of {text[:40]!r}; wanted one "
                "that marks the beginning or the end of a text"
            )
        if reading.cut:
            self._tell_of_cut(reading, text)
        ids = torch.tensor([reading.ids], device=self.device)
        with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            tokens = self._hidden(loaded.model, ids)[0, reading.kept].to(self.dtype)
        if not bool(tokens.isfinite().all()):
            raise ConfigError(
                f"{self._name} gave tokens that are not finite in {self.dtype} for {text[:40]!r}; set text_encoder.dtype to "
                "'bfloat16' or 'float32', whose range is larger"
            )
        return tokens

    def _tell_of_cut(self, reading: Reading, text: str) -> None:
        if self._told_of_cut:
            return
        self._told_of_cut = True
        whole = len(reading.ids) + reading.cut
        warnings.warn(
            f"{self._name} reads {len(reading.ids)} of the {whole} tokens of {text[:40]!r}…; the last {reading.cut} do not "
            "count. Later texts that are too long are cut without a word; text_encoder.max_tokens sets how much is read",
            TextCutWarning,
            stacklevel=4,
        )

    def __getstate__(self) -> dict[str, Any]:
        """Without the weights: another process loads its own."""
        return vars(self) | {"_loaded": None}

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self


def _usual_device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def cut_to(tokenizer: Any, text: str, most: int) -> tuple[list[int], int]:
    """Ids with the marks of the ends, at most `most`, and how many of the text's were cut."""
    whole = tokenizer(text, verbose=False)["input_ids"]
    if len(whole) <= most:
        return whole, 0
    ids = tokenizer(text, truncation=True, max_length=most)["input_ids"]
    return ids, len(whole) - len(ids)
