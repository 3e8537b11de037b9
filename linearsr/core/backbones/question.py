"""What a denoiser on trial is asked: seeded latents, times, LR pictures and guidance that go together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from linearsr.core.conformance import LawSkippedError
from linearsr.core.randomness import generator
from linearsr.core.structures import GuidanceTokens
from linearsr.core.trial import Trial

PICTURES = 17
"""So that times lie 1/16 apart, 0 and 1 among them: each of the published experts serves some."""
LENGTH = 4
"""Guidance tokens per picture."""


@dataclass(frozen=True)
class Question:
    """z [B, C, h, w], t [B], lr [B, 3, H, W] or None, guidance or None; float64."""

    z: Tensor
    t: Tensor
    lr: Tensor | None
    guidance: GuidanceTokens | None

    @torch.no_grad()
    def ask(self, module: nn.Module) -> Tensor:
        return module(self.z, self.t, self.lr, self.guidance)

    def turned(self, name: str) -> Question:
        """The same but for one input, "z", "t", "lr" or "guidance", whose pictures stand in the opposite order."""
        value = getattr(self, name)
        if value is None:
            raise LawSkippedError(f"tried without {name}")
        other = GuidanceTokens(value.tokens.flip(0), value.mask) if isinstance(value, GuidanceTokens) else value.flip(0)
        parts: dict[str, Any] = {"z": self.z, "t": self.t, "lr": self.lr, "guidance": self.guidance, name: other}
        return Question(**parts)

    def trial(self, build: Callable[[], nn.Module]) -> Trial:
        """The same, in the shape that the laws of every module want."""
        pictures = [] if self.lr is None else [self.lr]
        words = [] if self.guidance is None else [self.guidance.tokens, self.guidance.mask]

        def run(module: nn.Module, z: Tensor, t: Tensor, *told: Tensor) -> Tensor:
            lr = told[0].to(z.dtype) if pictures else None
            guidance = GuidanceTokens(told[-2].to(z.dtype), told[-1]) if words else None
            return module(z, t, lr, guidance)

        return Trial(build, run, self.z, (self.t, *pictures, *words))


def question(
    size: tuple[int, int], latent_channels: int, stride: int, guidance_width: int | None, needs_lr: bool, seed: int = 0
) -> Question:
    """size: (h, w) of the latent; stride: LR pixels per latent pixel and side.

    The first picture's mask is all False, every other one's is drawn and has its first token.
    """
    draw = generator(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(PICTURES, *shape, generator=draw, dtype=torch.float64)

    z = normal(latent_channels, *size)
    lr = normal(3, size[0] * stride, size[1] * stride).tanh() if needs_lr else None
    guidance = None
    if guidance_width is not None:
        mask = torch.rand(PICTURES, LENGTH, generator=draw) < 0.5
        mask[:, 0] = True
        mask[0] = False
        guidance = GuidanceTokens(normal(LENGTH, guidance_width), mask)
    return Question(z, torch.linspace(0, 1, PICTURES, dtype=torch.float64), lr, guidance)
