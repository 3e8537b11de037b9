"""Parts that have the sizes of those whose weights are not at hand."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from linearsr.core.structures import GuidanceTokens


class TokensOfSize(nn.Module):
    """Guidance of `length` tokens, `width` wide, that looks at nothing."""

    source, cacheable = "lr", False

    def __init__(self, width: int, length: int):
        super().__init__()
        self.width, self.length = width, length

    def forward(self, image_01: Tensor, prompts: object = None) -> GuidanceTokens:
        return self._tokens(len(image_01), self.length)

    def null(self, batch: int) -> GuidanceTokens:
        return self._tokens(batch, 1)

    def _tokens(self, batch: int, length: int) -> GuidanceTokens:
        return GuidanceTokens(torch.zeros(batch, length, self.width), torch.ones(batch, length, dtype=torch.bool))


class LatentsOfSize:
    """Autoencoder of that factor and so many channels, that costs nothing."""

    needs_lr = False

    def __init__(self, factor: int, channels: int):
        self.factor, self.channels = factor, channels

    def encode(self, image_pm1: Tensor, lr_pm1: Tensor | None = None) -> Tensor:
        batch, _, height, width = image_pm1.shape
        return image_pm1.new_zeros(batch, self.channels, height // self.factor, width // self.factor)

    def decode(self, z: Tensor, lr_pm1: Tensor | None = None) -> Tensor:
        batch, _, height, width = z.shape
        return z.new_zeros(batch, 3, height * self.factor, width * self.factor)


class SanaDCAE(nn.Module):
    """Sana's DC-AE, f32c32, with the published sizes and without its weights; in its own dtype, whole. Needs diffusers."""

    needs_lr = False
    factor, channels = 32, 32

    def __init__(self, dtype: str = "float32") -> None:
        super().__init__()
        from diffusers import AutoencoderDC

        blocks = ["ResBlock"] * 3 + ["EfficientViTBlock"] * 3
        widths, scales = [128, 256, 512, 512, 1024, 1024], [[], [], [], [5], [5], [5]]
        both = {
            f"{side}_{key}": value
            for side in ("encoder", "decoder")
            for key, value in {"block_types": blocks, "block_out_channels": widths, "qkv_multiscales": scales}.items()
        }
        model = AutoencoderDC(
            latent_channels=self.channels,
            encoder_layers_per_block=[2, 2, 2, 3, 3, 3],
            decoder_layers_per_block=[3] * 6,
            downsample_block_type="Conv",
            upsample_block_type="interpolate",
            **both,
        )
        self.dtype: torch.dtype = getattr(torch, dtype)
        self.encoder, self.decoder = model.encoder.to(self.dtype), model.decoder.to(self.dtype)

    def encode(self, image_pm1: Tensor, lr_pm1: Tensor | None = None) -> Tensor:
        return self._run(self.encoder, image_pm1)

    def decode(self, z: Tensor, lr_pm1: Tensor | None = None) -> Tensor:
        return self._run(self.decoder, z)

    def _run(self, part: nn.Module, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return part(x.to(self.dtype)).to(x.dtype)
