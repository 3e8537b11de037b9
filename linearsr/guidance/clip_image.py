"""Patch features of CLIP's picture tower."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from linearsr.core.registries import GUIDANCE
from linearsr.guidance.image_guidance import PatchGuidance
from linearsr.guidance.taggers.clip_folder import MEAN, STD
from linearsr.guidance.text_encoders.architecture import Architecture
from linearsr.guidance.text_encoders.options import require_hidden_layer
from linearsr.guidance.vision_folder import vision_folder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

KINDS = ("clip", "clip_vision_model")
PENULTIMATE = -2


@GUIDANCE.register_module()
class CLIPImageGuidance(PatchGuidance):
    """Patch features of CLIP's picture tower (Radford et al. 2021, arXiv 2103.00020).

    A folder of both towers will do; the text's is not loaded.

    folder:       as transformers saves a CLIPModel or a CLIPVisionModel, safetensors; nothing is downloaded
    hidden_layer: −2, the penultimate block as it is, as LLaVA takes it: the last one is trained for the whole picture's token
                  only; −1 the last, before its norm; down to −depth
    keep_cls, source, device, dtype: see PatchGuidance. The square's side is that of the folder's config.json
    Raises MissingExtraError, WeightsError or ConfigError, before anything is loaded.
    """

    def __init__(
        self,
        folder: str,
        hidden_layer: int = PENULTIMATE,
        keep_cls: bool = False,
        source: str = "lr",
        device: str | None = None,
        dtype: str = "float32",
    ):
        who = type(self).__name__
        files = vision_folder(who, folder, KINDS, MEAN, STD, "vision_config")
        super().__init__(files, files.number(who, "image_size"), keep_cls, source, device, dtype)
        depth = files.number(who, "num_hidden_layers")
        self.hidden_layer = require_hidden_layer(hidden_layer, depth, "guidance.hidden_layer")

    def architecture(self) -> Architecture:
        return Architecture("CLIPVisionModel", KINDS, usual_tokens=0)

    def options(self) -> Mapping[str, Any]:
        return {"hidden_layer": self.hidden_layer}

    def features(self, model: Any, view: Tensor) -> Tensor:
        return model(pixel_values=view, output_hidden_states=True).hidden_states[self.hidden_layer]
