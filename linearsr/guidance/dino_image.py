"""Patch features of DINOv2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from linearsr.core.errors import ConfigError
from linearsr.core.registries import GUIDANCE
from linearsr.core.values import require_count
from linearsr.guidance.image_guidance import PatchGuidance
from linearsr.guidance.text_encoders.architecture import Architecture
from linearsr.guidance.vision_folder import vision_folder

if TYPE_CHECKING:
    from torch import Tensor

MODELS = {"dinov2": "Dinov2Model", "dinov2_with_registers": "Dinov2WithRegistersModel"}
"""model_type -> class in the transformers library."""
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""Of ImageNet, as published with DINOv2."""
SIDE = 224
"""Pixels: 16 × 16 patches of 14, as its own preparation cuts pictures; its positions are interpolated to any side."""


@GUIDANCE.register_module()
class DINOGuidance(PatchGuidance):
    """Patch features of DINOv2: the last block's outputs after the norm (Oquab et al. 2023, arXiv 2304.07193).

    Registers are left out.

    folder: as transformers saves a Dinov2Model, with or without registers, safetensors; nothing is downloaded
    side:   of the square that the picture is squeezed into, in pixels, a multiple of the patch
    keep_cls, source, device, dtype: see PatchGuidance
    Raises MissingExtraError, WeightsError or ConfigError, before anything is loaded.
    """

    def __init__(
        self,
        folder: str,
        side: int = SIDE,
        keep_cls: bool = False,
        source: str = "lr",
        device: str | None = None,
        dtype: str = "float32",
    ):
        who = type(self).__name__
        files = vision_folder(who, folder, tuple(MODELS), MEAN, STD)
        patch = files.number(who, "patch_size")
        if require_count(side, "guidance.side", patch) % patch:
            raise ConfigError(f"guidance.side is {side}; wanted a multiple of the patch, {patch} pixels; change guidance.side")
        super().__init__(files, side, keep_cls, source, device, dtype)

    def architecture(self) -> Architecture:
        return Architecture(MODELS[self.files.kind], tuple(MODELS), usual_tokens=0)

    def features(self, model: Any, view: Tensor) -> Tensor:
        tokens = model(pixel_values=view).last_hidden_state
        patches = (self.side // model.config.patch_size) ** 2
        return torch.cat((tokens[:, :1], tokens[:, -patches:]), 1)
