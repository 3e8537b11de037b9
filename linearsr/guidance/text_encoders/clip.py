"""The text tower of CLIP."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from linearsr.core.registries import TEXT_ENCODERS
from linearsr.guidance.text_encoders.architecture import Architecture
from linearsr.guidance.text_encoders.base import FrozenTextEncoder
from linearsr.guidance.text_encoders.options import require_hidden_layer

LAST = -1


@TEXT_ENCODERS.register_module()
class CLIPTextEncoder(FrozenTextEncoder):
    """CLIP's text transformer (arXiv 2103.00020), all its tokens rather than the pooled one. 77 tokens at most.

    A folder of both towers will do; the picture's is not loaded.

    hidden_layer: −1, the last, after the final norm, as Stable Diffusion 1 takes it; −2, the penultimate block as it is, as
                  SDXL takes it; and so on down to −depth. The other options are those of FrozenTextEncoder

    Stable Diffusion pads every text to 77 tokens with the mark of the end and attends to those too; here nothing is padded.
    """

    architecture = Architecture("CLIPTextModel", ("clip", "clip_text_model"), usual_tokens=77)

    def __init__(
        self,
        folder: str | os.PathLike[str],
        tokenizer_folder: str | os.PathLike[str] | None = None,
        hidden_layer: int = LAST,
        max_tokens: int | None = None,
        dtype: str = "float32",
        device: str | None = "cpu",
        unload_after_use: bool = False,
    ):
        super().__init__(folder, tokenizer_folder, max_tokens, dtype, device, unload_after_use)
        self.hidden_layer = require_hidden_layer(hidden_layer, self._sizes.depth, "text_encoder.hidden_layer")

    def _options(self) -> Mapping[str, object]:
        return {**super()._options(), "hidden_layer": self.hidden_layer}

    def _hidden(self, model: Any, ids: Tensor) -> Tensor:
        if self.hidden_layer == LAST:
            return super()._hidden(model, ids)
        given = model(input_ids=ids, attention_mask=torch.ones_like(ids), output_hidden_states=True)
        return given.hidden_states[self.hidden_layer]
