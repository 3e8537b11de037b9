"""Real-ESRGAN's degradation as a transform."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmcv.transforms import BaseTransform

from linearsr.core.data.degradations import degrade, draw_settings
from linearsr.core.data.degradations import preset as preset_named
from linearsr.core.data.transforms import draws
from linearsr.core.errors import ConfigError
from linearsr.core.registries import TRANSFORMS


@TRANSFORMS.register_module()
class RealESRGANDegradation(BaseTransform):
    """hr -> lr: Real-ESRGAN's second-order degradation, drawn anew for every sample from the sample's own seed.

    scale: HR side over LR side; the presets were made for 4.
    preset: "StableSR", "SeeSR" or "SeeSRPaired" (SeeSR's paired set, OSEDiff).
    overrides: fields of the preset to change, such as dict(jpeg_2=(30, 95)).
    Raises ConfigError for an unknown preset or field, and for values that cannot be drawn from.
    """

    def __init__(self, scale: int = 4, preset: str = "StableSR", overrides: Mapping[str, Any] | None = None):
        if scale < 1:
            raise ConfigError(f"RealESRGANDegradation: scale is {scale}; wanted a whole number ≥ 1")
        self.scale = scale
        self.preset = preset_named(preset, overrides)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        generator = draws(results, type(self).__name__, 3)
        settings = draw_settings(self.preset, generator)
        results["lr"] = degrade(results["hr"], settings, self.scale, generator)
        return results
