"""What autoencoders with weights of their own share: frozen, kept out of checkpoints, scaled in one place.

B pictures; [H, W] picture, [h, w] = [H/f, W/f] latent, f the factor, C the channels.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import nn

from linearsr.core.errors import ConfigError, ShapeError
from linearsr.core.tensor_values import DTYPES_AND_FLOAT64, require_device, require_dtype
from linearsr.core.values import require_count, require_finite, require_positive

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


class EncoderDecoder(nn.Module):
    """Two networks; which pictures and latents they want is the autoencoder's affair."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder


class FrozenAutoencoder(ABC):
    """z = (latent − shift)·scale, and back; both here and nowhere else.

    It is no torch module: its weights are in no checkpoint, no optimiser and no average, a copy of a model shares them, and
    another process loads its own. They are loaded on first use and move to where the pictures are.
    It runs in its own dtype, without autocast; what comes out has the type of what came in. Gradients pass through.

    factor, channels: of the latent
    scale, shift: to zero mean and unit variance
    tile:   side of the tiles in which larger pictures are encoded and decoded, in picture pixels; None: whole
    dtype:  "float32", "bfloat16", "float16" or "float64", of weights and activations
    device: where it runs; None: where the picture is
    """

    needs_lr = False

    def __init__(
        self, factor: int, channels: int, scale: float, shift: float, tile: int | None, dtype: str, device: str | None
    ):
        self.factor, self.channels = factor, channels
        self.scale = require_positive(scale, "autoencoder.scale")
        self.shift = require_finite(shift, "autoencoder.shift")
        self.tile = None if tile is None else require_tile(tile, factor)
        self.dtype = require_dtype(dtype, "autoencoder.dtype", DTYPES_AND_FLOAT64)
        self.device = None if device is None else require_device(device, "autoencoder.device")
        self._model: EncoderDecoder | None = None

    @abstractmethod
    def build(self) -> EncoderDecoder:
        """The networks with their weights, on the CPU. Raises WeightsError."""

    @abstractmethod
    def to_latent(self, model: EncoderDecoder, image_pm1: Tensor) -> Tensor:
        """[B, 3, H, W] -> [B, C, h, w], neither shifted nor scaled; in tiles where `self.tile` says so."""

    @abstractmethod
    def to_image(self, model: EncoderDecoder, latent: Tensor) -> Tensor:
        """The way back, in −1..1, not clamped."""

    def encode(self, image_pm1: Tensor, lr_pm1: Tensor | None = None) -> Tensor:
        """[B, 3, H, W] -> [B, C, H/f, W/f] in the picture's type. Raises ShapeError where f does not divide H and W."""
        f = self.factor
        if image_pm1.ndim != 4 or image_pm1.shape[1] != 3 or any(side < f or side % f for side in image_pm1.shape[-2:]):
            raise ShapeError(
                f"the picture is {list(image_pm1.shape)}; {type(self).__name__} wants [B, 3, H, W] with H and W multiples of "
                f"{f}: pad the picture, or set RandomCrop.size to a multiple of {f}"
            )
        latent = self._run(self.to_latent, image_pm1)
        return ((latent - self.shift) * self.scale).to(image_pm1.dtype)

    def decode(self, z: Tensor, lr_pm1: Tensor | None = None) -> Tensor:
        """[B, C, h, w] -> [B, 3, f·h, f·w] in z's type, not clamped. Raises ShapeError for another number of channels."""
        if z.ndim != 4 or z.shape[1] != self.channels or min(z.shape[-2:]) < 1:
            raise ShapeError(f"the latent is {list(z.shape)}; {type(self).__name__} wants [B, {self.channels}, h, w]")
        return self._run(self.to_image, z.to(self.dtype) / self.scale + self.shift).to(z.dtype)

    def load(self) -> EncoderDecoder:
        """The frozen networks, from disk if it is not in memory. Raises WeightsError."""
        if self._model is None:
            self._model = self.build().requires_grad_(False).eval().to(self.dtype)
        return self._model

    def unload(self) -> None:
        """Gives their memory back; the next call loads it again."""
        self._model = None

    def running(self, model: EncoderDecoder) -> Self:
        """As this one, with those networks, where the pictures are."""
        own = copy.copy(self)
        own._model, own.device = model, None
        return own

    def _run(self, stage: Callable[[EncoderDecoder, Tensor], Tensor], x: Tensor) -> Tensor:
        device = self.device or x.device
        if device.type == "meta":
            raise ConfigError(
                f"{type(self).__name__} has weights and computes nothing on the meta device; set autoencoder.device"
            )
        model = self.load()
        if next(model.parameters()).device != device:
            model.to(device)
        with torch.autocast(device.type, enabled=False):
            return stage(model, x.to(device, self.dtype)).to(x.device)

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_model": None}

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self


def require_tile(tile: object, factor: int) -> int:
    count = require_count(tile, "autoencoder.tile", factor)
    if count % factor:
        raise ConfigError(f"autoencoder.tile is {count}; wanted a multiple of the factor, {factor}; change autoencoder.tile")
    return count
