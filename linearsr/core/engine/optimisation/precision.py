"""In which numbers a model is computed, while its weights stay as they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch.amp import GradScaler

from linearsr.core.errors import ConfigError, nearest
from linearsr.core.tensor_values import DTYPES, refuse_emulated, require_dtype

SCALE_KEYS = ("init_scale", "growth_factor", "backoff_factor", "growth_interval", "min_scale")
"""Of `optim_wrapper.loss_scale`: torch.amp.GradScaler's own, and ours."""
MIN_SCALE = 1.0
"""An overflow at this loss scale is no longer the scale's fault: the gradient itself is beyond float16."""


class Precision:
    """dtype: "float32", "bfloat16" or "float16"; device: of the weights. Raises ConfigError for what cannot be.

    Matrix products and convolutions are computed in dtype; weights, sums over tokens, norms, the time and the loss keep
    float32. scaler: for float16 alone, whose smallest number is 6e-8 and would make small gradients 0.
    """

    def __init__(self, dtype: str, loss_scale: Mapping[str, Any] | None, device: torch.device):
        self.dtype, self.device = require_dtype(dtype, "optim_wrapper.dtype", DTYPES), device
        refuse_emulated(self.dtype, device, "optim_wrapper.dtype")
        self.min_scale = MIN_SCALE
        self.scaler: GradScaler | None = None
        if dtype == "float16":
            options = _checked(loss_scale or {})
            self.min_scale = float(options.pop("min_scale", MIN_SCALE))
            self.scaler = GradScaler(device.type, **options)
        elif loss_scale is not None:
            raise ConfigError(f"optim_wrapper.loss_scale is for dtype='float16'; here it is {dtype!r}: leave loss_scale out")

    def autocast(self) -> torch.autocast:
        """Around the forward pass alone: the way back follows by itself."""
        return torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype is not torch.float32)


def _checked(loss_scale: Mapping[str, Any]) -> dict[str, Any]:
    for key, value in loss_scale.items():
        if key not in SCALE_KEYS:
            hint = nearest(key, SCALE_KEYS) or "."
            raise ConfigError(f"optim_wrapper.loss_scale has no key {key!r}{hint} Its keys: {', '.join(SCALE_KEYS)}")
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            raise ConfigError(f"optim_wrapper.loss_scale.{key} is {value!r}; wanted a number above 0")
    if not loss_scale.get("backoff_factor", 0.5) < 1 < loss_scale.get("growth_factor", 2.0):
        raise ConfigError(f"optim_wrapper.loss_scale is {dict(loss_scale)}; wanted backoff_factor < 1 < growth_factor")
    return dict(loss_scale)
