"""What a denoiser under test is asked: seeded latents, times, LR pictures and guidance that go together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from linearsr.core.module_laws import Trial
from linearsr.core.randomness import generator
from linearsr.core.structures import GuidanceTokens

PICTURES = 17
"""Times 1/16 apart, 0 and 1 among them: each of the published experts serves some."""
LENGTH = 4
"""Guidance tokens per picture."""


@dataclass(frozen=True)
class DenoiserTrial:
    """A question for every picture of a batch, float64.

    build:  () -> denoiser; latent_channels: C; stride: LR pixels per latent pixel and side
    guidance_width, needs_lr: None and False for a denoiser that takes neither
    """

    build: Callable[[], nn.Module]
    latent_channels: int
    stride: int
    guidance_width: int | None
    needs_lr: bool

    def trial(self, grid: tuple[int, int]) -> Trial:
        """For the laws of every module, on a grid of tokens."""
        _, height, width = self._size(grid)

        def run(module: nn.Module, z: Tensor, t: Tensor, lr: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
            return module(z, t, lr.to(z.dtype) if self.needs_lr else None, self.words(tokens.to(z.dtype), mask))

        z = self._normal(self.latent_channels, height, width)
        lr = self._normal(3, height * self.stride, width * self.stride).tanh()
        return Trial(self.build, run, z, (self.times, lr, self.tokens, self.mask))
