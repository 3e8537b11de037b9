"""The wrapper that lets several processes train one model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from linearsr.core.registries import MODEL_WRAPPERS

DEFAULT = "ReplicatedModel"


def wrap(model: nn.Module, described: Mapping[str, Any] | None) -> nn.Module:
    """described: `model_wrapper_cfg` of the config; without it, or without its type, ReplicatedModel. The model is on its
    device. Raises ConfigError for a wrapper that cannot hold it."""
    wrapped: nn.Module = MODEL_WRAPPERS.build({"type": DEFAULT, **(described or {})}, module=model)
    return wrapped
