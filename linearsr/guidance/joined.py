"""Several guidances at once: their tokens, one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import torch
import torch.nn.functional as F
from torch import nn

from linearsr.core.errors import ConfigError
from linearsr.core.registries import GUIDANCE
from linearsr.core.structures import GuidanceTokens
from linearsr.core.values import require_count
from linearsr.guidance.null import zero_token
from linearsr.guidance.taggers.identity import identity_of
from linearsr.guidance.text_guidance import checked_source, unload

if TYPE_CHECKING:
    from torch import Tensor

    from linearsr.core.protocols import Guidance


@GUIDANCE.register_module()
class JoinedGuidance:
    """Several guidances as one: tokens of the first, of the second, … along L, whose order cross-attention does not heed.

    guidance: list of dict(type=…). Prompts go to those that read them
    width:    None: all must be of one width, else ConfigError; a number: narrower tokens are filled up to it with zeros. The
              denoiser's projection has the same weights for all
    source:   "lr" or "hr", what all look at in training; None: their own, on which they must agree
    """

    def __init__(self, guidance: Sequence[Mapping[str, Any]], width: int | None = None, source: str | None = None):
        if isinstance(guidance, Mapping) or not guidance:
            raise ConfigError("guidance.guidance is empty or no list; wanted a list of dict(type=…); change guidance.guidance")
        self.parts = [_frozen(GUIDANCE.build(part)) for part in guidance]
        self.width = _common_width(self.parts) if width is None else _enough(self.parts, width)
        self.source = _common_source(self.parts) if source is None else checked_source(source)
        self.cacheable = all(part.cacheable for part in self.parts)

    @property
    def reads_prompts(self) -> bool:
        return any(_reads_prompts(part) for part in self.parts)

    @property
    def identity(self) -> str:
        """Raises ConfigError for a part that has none."""
        parts = [_identity(part) for part in self.parts]
        return identity_of(type(self).__name__, {"guidance": parts, "width": self.width, "source": self.source})

    def __call__(self, image_01: Tensor, prompts: Sequence[str] | None = None) -> GuidanceTokens:
        """[B, 3, H, W] in 0..1 -> tokens [B, sum of L, D] on the picture's device.

        Raises ConfigError for prompts that none reads, and what the parts raise.
        """
        if prompts is not None and not self.reads_prompts:
            raise ConfigError(f"prompts were given, and {_names(self.parts)} read none; leave them out, or join one that does")
        given = [_at(part, image_01.device)(image_01, prompts if _reads_prompts(part) else None) for part in self.parts]
        return self._join(given).to(image_01.device)

    def null(self, batch: int) -> GuidanceTokens:
        """A token of zeros, [batch, 1, D], mask True; see `TextGuidance.null`."""
        return zero_token(batch, self.width)

    def negative(self, batch: int) -> GuidanceTokens:
        """The parts' negative tokens [batch, L, D], and their null tokens where a part has no negative ones."""
        return self._join([getattr(part, "negative", part.null)(batch) for part in self.parts])

    def unload(self) -> None:
        """Gives the memory of the parts back, of those that can."""
        for part in self.parts:
            unload(part)

    def _join(self, answers: Sequence[GuidanceTokens]) -> GuidanceTokens:
        given = [GuidanceTokens.of(answer) for answer in answers]
        device = given[0].tokens.device
        dtype = _widest(given)
        tokens = [F.pad(own.tokens.to(device, dtype), (0, self.width - own.width)) for own in given]
        return GuidanceTokens(torch.cat(tokens, 1), torch.cat([own.mask.to(device) for own in given], 1))

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self


def _widest(given: Sequence[GuidanceTokens]) -> torch.dtype:
    dtype = given[0].tokens.dtype
    for own in given[1:]:
        dtype = torch.promote_types(dtype, own.tokens.dtype)
    return dtype


def _frozen(part: Guidance) -> Guidance:
    """LinearSR does this for a guidance that is a torch module; of those inside of another it does not know."""
    return part.requires_grad_(False).eval() if isinstance(part, nn.Module) else part


def _at(part: Guidance, device: torch.device) -> Guidance:
    return part.to(device) if isinstance(part, nn.Module) else part


def _identity(part: Guidance) -> str:
    identity = getattr(part, "identity", None)
    if identity is None:
        raise ConfigError(f"{type(part).__name__} has no identity, by which a cache could know its tokens; give it one")
    return identity


def _reads_prompts(part: Guidance) -> bool:
    """Of a third party's that does not say, it is assumed."""
    return bool(getattr(part, "reads_prompts", True))


def _names(parts: Sequence[Guidance]) -> str:
    return ", ".join(type(part).__name__ for part in parts)


def _common_width(parts: Sequence[Guidance]) -> int:
    for part in parts[1:]:
        if part.width != parts[0].width:
            raise ConfigError(
                f"tokens of {type(parts[0]).__name__} are {parts[0].width} wide and those of {type(part).__name__} "
                f"{part.width}; set guidance.width={max(other.width for other in parts)} to fill the narrower up with zeros"
            )
    return parts[0].width


def _enough(parts: Sequence[Guidance], width: int) -> int:
    widest = max(parts, key=lambda part: part.width)
    return require_count(width, f"guidance.width, for tokens of {type(widest).__name__},", widest.width)


def _common_source(parts: Sequence[Guidance]) -> str:
    for part in parts[1:]:
        if part.source != parts[0].source:
            raise ConfigError(
                f"in training {type(parts[0]).__name__} looks at the {parts[0].source} and {type(part).__name__} at the "
                f"{part.source}, and they are given one picture; set guidance.source for all"
            )
    return parts[0].source
