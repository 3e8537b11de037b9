"""Tokens that say what is in the picture."""

from linearsr.guidance.null import NullGuidance

__all__ = ["NullGuidance"]
