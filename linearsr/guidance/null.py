"""Guidance that says nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from linearsr.core.errors import ConfigError
from linearsr.core.registries import GUIDANCE
from linearsr.core.structures import GuidanceTokens
from linearsr.core.values import require_count

if TYPE_CHECKING:
    from torch import Tensor


@GUIDANCE.register_module()
class NullGuidance:
    """One constant token, the same for every picture: it carries no information.

    The network then has the same layers and weights as with real guidance, so that the two can be compared at equal
    size, and a model trained without guidance can be given one later. A denoiser without cross-attention is had by
    leaving `guidance` out.

    width: D of the token, a whole number of at least 1, else ConfigError. The token is all ones: a root mean square of 1,
    as a text encoder's tokens have after their last normalisation.
    """

    source = "lr"
    cacheable = True
    reads_prompts = False

    def __init__(self, width: int = 16):
        self.width = require_count(width, "guidance.width")

    @property
    def identity(self) -> str:
        return f"{type(self).__name__}(width={self.width})"

    def __call__(self, image_01: Tensor, prompts: Sequence[str] | None = None) -> GuidanceTokens:
        """[B, 3, H, W] -> tokens [B, 1, D] on the picture's device, mask True. Raises ConfigError for prompts: none is read."""
        if prompts is not None:
            raise ConfigError("NullGuidance reads no prompts; leave them out, or set model.guidance to one that does")
        return self.null(len(image_01)).to(image_01.device)

    def null(self, batch: int) -> GuidanceTokens:
        """The same token: float32 [batch, 1, D] on the CPU, mask True."""
        return GuidanceTokens(torch.ones(batch, 1, self.width), torch.ones(batch, 1, dtype=torch.bool))


def zero_token(batch: int, width: int) -> GuidanceTokens:
    """float32 [batch, 1, D] of zeros on the CPU, mask True: what stands for nothing beside real tokens, which are never 0."""
    return GuidanceTokens(torch.zeros(batch, 1, width), torch.ones(batch, 1, dtype=torch.bool))
