"""From a sharp picture to a small one. Pure functions; the same arguments give the same picture."""

from linearsr.core.data.degradations.bicubic import degrade_bicubic
from linearsr.core.data.degradations.drawing import draw_settings
from linearsr.core.data.degradations.presets import PRESETS, Preset, preset
from linearsr.core.data.degradations.second_order import degrade
from linearsr.core.data.degradations.settings import Blur, Noise, Settings, Shrink, Stage

__all__ = [
    "PRESETS",
    "Blur",
    "Noise",
    "Preset",
    "Settings",
    "Shrink",
    "Stage",
    "degrade",
    "degrade_bicubic",
    "draw_settings",
    "preset",
]
