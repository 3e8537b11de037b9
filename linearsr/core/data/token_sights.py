"""Asks a guidance about one picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from linearsr.core import protocols
from linearsr.core.data.picture_keys import Name
from linearsr.core.errors import ConfigError, DataError
from linearsr.core.pixels import from_uint8
from linearsr.core.registries import GUIDANCE
from linearsr.core.structures import GuidanceTokens

Tokens = tuple[Tensor, Tensor]
"""[L, D] and its mask, bool [L]."""


class Sight(NamedTuple):
    """What is looked at. picture: [3, H, W], float in 0..1 or levels at 8 bits; prompt: the sample's, if it has one."""

    name: Name
    picture: Tensor
    prompt: str | None

    @property
    def told_name(self) -> str:
        """For messages."""
        dataset, name, kind = self.name
        return f"{dataset}/{name} ({kind.upper()})"

    def as_asked(self) -> tuple[Tensor, list[str] | None]:
        """What guidance takes: float32 [1, 3, H, W] in 0..1, and prompts."""
        picture = self.picture if self.picture.is_floating_point() else from_uint8(self.picture)
        return picture[None], None if self.prompt is None else [self.prompt]


def look(guidance: protocols.Guidance, sight: Sight) -> Tokens:
    """One picture, alone. Raises DataError for tokens that are not finite."""
    with torch.no_grad():
        return finite(GuidanceTokens.of(guidance(*sight.as_asked())), type(guidance).__name__, sight)


def finite(given: GuidanceTokens, who: str, sight: Sight) -> Tokens:
    """The only picture's, on the CPU."""
    tokens, mask = given.tokens[0].detach().cpu(), given.mask[0].cpu()
    if not bool(tokens.isfinite().all()):
        raise DataError(
            f"{who} gives NaN or Inf in {int((~tokens.isfinite()).sum())} of {tokens.numel()} values for {sight.told_name}; "
            "mend its weights, or set a wider dtype"
        )
    return tokens, mask


def build_guidance(guidance: Mapping[str, Any]) -> protocols.Guidance:
    """Frozen. Raises ConfigError for one whose tokens differ from look to look."""
    built: protocols.Guidance = GUIDANCE.build(guidance)
    if not built.cacheable:
        raise ConfigError(
            f"{type(built).__name__} gives the same picture other tokens each time (its cacheable is False); take Describe out "
            "of the pipeline: the model asks it itself"
        )
    return built.requires_grad_(False).eval() if isinstance(built, nn.Module) else built


def identity_of(guidance: protocols.Guidance) -> str:
    """Raises ConfigError for guidance without one."""
    identity = getattr(guidance, "identity", None)
    if not isinstance(identity, str):
        raise ConfigError(
            f"{type(guidance).__name__} has no identity, by which a cache could know its tokens; give it one, or set "
            "Describe.cache=None"
        )
    return identity
