"""Lossless latents: pixels moved into channels. No weights, so they are also the oracle that tests compare with.

B pictures; [H, W] picture, [h, w] = [H/f, W/f] latent, f the factor. The order of the 3·f² channels is (colour, row, column),
as in torch's pixel_unshuffle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from einops import rearrange

from linearsr.core.errors import ConfigError, ShapeError
from linearsr.core.registries import AUTOENCODERS
from linearsr.core.resampling import resize_bicubic

if TYPE_CHECKING:
    from torch import Tensor


class SpaceToDepth:
    """What both autoencoders share: factor (pixels per latent pixel and side, ≥ 1) and the two rearrangements."""

    def __init__(self, factor: int):
        if isinstance(factor, bool) or not isinstance(factor, int) or factor < 1:
            raise ConfigError(
                f"autoencoder.factor is {factor!r}; wanted a whole number of at least 1; change autoencoder.factor"
            )
        self.factor = factor
        self.channels = 3 * factor**2

    def to_depth(self, image: Tensor) -> Tensor:
        """[B, 3, H, W] -> [B, 3·f², H/f, W/f]. Raises ShapeError where f does not divide H and W."""
        f = self.factor
        if image.ndim != 4 or image.shape[1] != 3 or image.shape[2] % f or image.shape[3] % f or not image.is_floating_point():
            raise ShapeError(
                f"the picture is {image.dtype} {list(image.shape)}; wanted a float [B, 3, H, W] with H and W multiples of {f}; "
                "pad the picture, or change autoencoder.factor"
            )
        return rearrange(image, "b c (h p) (w q) -> b (c p q) h w", p=f, q=f)

    def to_space(self, z: Tensor) -> Tensor:
        """[B, 3·f², h, w] -> [B, 3, f·h, f·w]. Raises ShapeError for another number of channels."""
        if z.ndim != 4 or z.shape[1] != self.channels:
            raise ShapeError(
                f"the latent is {list(z.shape)}; wanted [B, {self.channels}, h, w] for autoencoder.factor={self.factor}"
            )
        return rearrange(z, "b (c p q) h w -> b c (h p) (w q)", p=self.factor, q=self.factor)


@AUTOENCODERS.register_module()
class PixelShuffle(SpaceToDepth):
    """z = (picture − shift)/scale, pixels moved into channels. The LR picture is not used.

    factor: pixels per latent pixel and side
    shift, scale: mean and standard deviation of a photo in −1..1; the defaults are those of the 14 training photos
        bundled with scikit-image and scikit-learn (−0.122 and 0.526), scale > 0
    """

    needs_lr = False

    def __init__(self, factor: int = 4, shift: float = -0.12, scale: float = 0.53):
        super().__init__(factor)
        self.shift = float(shift)
        self.scale = _positive(scale, "autoencoder.scale")

    def encode(self, image_pm1: Tensor, lr_pm1: Tensor | None = None) -> Tensor:
        """[B, 3, H, W] -> [B, 3·f², H/f, W/f] in the picture's type."""
        return (self.to_depth(image_pm1) - self.shift) / self.scale

    def decode(self, z: Tensor, lr_pm1: Tensor | None = None) -> Tensor:
        """The inverse of `encode`, in z's type; not clamped."""
        return self.to_space(z * self.scale + self.shift)


@AUTOENCODERS.register_module()
class ResidualPixelShuffle(SpaceToDepth):
    """z = (picture − bicubic enlargement of the LR picture)/sigma, pixels moved into channels (our choice).

    The network has to say only what bicubic interpolation misses: z = 0 decodes to the bicubic picture.

    factor: pixels per latent pixel and side
    sigma:  > 0, in units of −1..1. The default is 0.066 in 0..1: the root mean square of that difference at 4× over the 14
        training photos bundled with scikit-image and scikit-learn is 0.0645. Fewer details give less: single photos lie
        between 0.008 and 0.114, photo collections between 0.041 and 0.052, 2× about two thirds of 4×.
    """

    needs_lr = True

    def __init__(self, factor: int = 4, sigma: float = 0.132):
        super().__init__(factor)
        self.sigma = _positive(sigma, "autoencoder.sigma")

    def encode(self, image_pm1: Tensor, lr_pm1: Tensor | None = None) -> Tensor:
        """[B, 3, H, W] with lr_pm1 [B, 3, H/s, W/s], s a whole number -> [B, 3·f², H/f, W/f], at least float32."""
        depth = self.to_depth(image_pm1)
        enlarged = self._enlarged(lr_pm1, len(image_pm1), (image_pm1.shape[-2], image_pm1.shape[-1]))
        return (depth - self.to_depth(enlarged)) / self.sigma

    def decode(self, z: Tensor, lr_pm1: Tensor | None = None) -> Tensor:
        """The inverse of `encode` for the same LR picture, at least float32; not clamped."""
        residual = self.to_space(z) * self.sigma
        return residual + self._enlarged(lr_pm1, len(z), (residual.shape[-2], residual.shape[-1]))

    def _enlarged(self, lr_pm1: Tensor | None, batch: int, size: tuple[int, int]) -> Tensor:
        if lr_pm1 is None:
            raise ShapeError(
                "ResidualPixelShuffle needs the LR picture: pass lr_pm1, or use autoencoder=dict(type='PixelShuffle')"
            )
        height, width = size
        if lr_pm1.ndim != 4 or lr_pm1.shape[:2] != (batch, 3) or min(lr_pm1.shape[-2:]) < 1:
            raise ShapeError(f"the LR picture is {list(lr_pm1.shape)}; wanted [{batch}, 3, H/s, W/s]")
        upscale = height // lr_pm1.shape[-2]
        if (lr_pm1.shape[-2] * upscale, lr_pm1.shape[-1] * upscale) != size:
            raise ShapeError(
                f"the LR picture is {lr_pm1.shape[-2]}×{lr_pm1.shape[-1]} and the picture {height}×{width}; "
                "wanted the same whole ratio on both sides; crop the pictures to a multiple of model.upscale"
            )
        return resize_bicubic(lr_pm1.to(torch.promote_types(lr_pm1.dtype, torch.float32)), size)


def _positive(value: float, key: str) -> float:
    if not (value > 0 and value < float("inf")):
        raise ConfigError(f"{key} is {value!r}; wanted a finite number above 0; change {key}")
    return float(value)
