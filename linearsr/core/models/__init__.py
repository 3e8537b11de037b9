"""Whole methods, composed of parts."""

from linearsr.core.models.building import build_model, load_model
from linearsr.core.models.linear_sr import LinearSR

__all__ = ["LinearSR", "build_model", "load_model"]
