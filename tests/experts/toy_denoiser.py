"""A denoiser small enough to read, for tests of what stands around denoisers.

Named in a config as type="tests.experts.toy_denoiser.ToyDenoiser"; not registered, so that it is nobody's component.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

TOY = "tests.experts.toy_denoiser.ToyDenoiser"


@dataclass(frozen=True)
class ToyPrepared:
    picture: Tensor
    words: Tensor
    times: Tensor | None


class ToyDenoiser(nn.Module):
    """Looks at z_t, t, the LR picture and the words, so that a mix-up of any of them shows."""

    patch_size = 2

    def __init__(self, latent_channels: int, latent_factor: int, upscale: int, guidance_width: int, width: int = 8):
        super().__init__()
        self.stem = nn.Conv2d(3, width, latent_factor // upscale, latent_factor // upscale)
        self.words = nn.Linear(guidance_width, width)
        self.time = nn.Linear(1, width)
        self.mix = nn.Conv2d(latent_channels + width, width, 3, padding=1)
        self.out = nn.Conv2d(width, latent_channels, 1)
        self.prepared_for: list[list[float]] = []

    def prepare(self, lr, guidance, times=None):
        self.prepared_for.append(times.tolist())
        words = (self.words(guidance.tokens) * guidance.mask[..., None]).sum(1)
        return ToyPrepared(self.stem(lr), words, times)

    def forward(self, z_t, t, lr, guidance, *, prepared=None):
        if prepared is None:
            words = (self.words(guidance.tokens) * guidance.mask[..., None]).sum(1)
            prepared = ToyPrepared(self.stem(lr), words, None)
        told = self.time(t[:, None].to(z_t.dtype)) + prepared.words
        x = self.mix(torch.cat([z_t, prepared.picture], dim=1))
        return self.out(torch.tanh(x + told[:, :, None, None]))
