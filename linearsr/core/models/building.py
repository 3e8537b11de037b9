"""From a config to a model, in Python: for those who want the parts without the runner."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmengine.config import Config

from linearsr.core.config import load_config
from linearsr.core.registries import MODELS
from linearsr.core.weights import load_strict, read_state_dict

if TYPE_CHECKING:
    from linearsr.core.models.linear_sr import LinearSR


def build_model(config: str | Path | Config | Mapping[str, Any]) -> LinearSR:
    """config: a config file, a loaded config, or its `model` dict. The model has its initial weights."""
    cfg = load_config(config) if isinstance(config, str | Path) else config
    return MODELS.build(cfg.get("model", cfg))


def load_model(config: str | Path | Config | Mapping[str, Any], checkpoint: str | Path) -> LinearSR:
    """As `build_model`, with the checkpoint's weights, in eval mode. Raises WeightsError if they do not fit."""
    model = build_model(config)
    load_strict(model, read_state_dict(checkpoint), str(checkpoint))
    return model.eval()
