"""Does an autoencoder keep its contract? `check_autoencoder(mine, tolerance=0.2).require()` raises with the laws broken."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from linearsr.core.conformance import ConformanceReport, LawSkippedError, close, refused
from linearsr.core.protocols import Autoencoder
from linearsr.core.randomness import generator

UNIT = 0.25
"""How far from 1 the standard deviation of photos' latents may be: photos differ by about a tenth, collections by more."""


def check_autoencoder(
    autoencoder: Autoencoder,
    *,
    tolerance: float | None = 1e-5,
    upscale: int = 4,
    seed: int = 0,
    photos_pm1: Sequence[Tensor] = (),
) -> ConformanceReport:
    """Declared sizes, round trip, batch independence, gradients, errors, on smooth random pictures.

    tolerance:  of the round trip, relative to the largest value: rounding for a lossless one, what it loses for another,
                None for weights that are not trained
    upscale:    the LR pictures are this many times smaller
    photos_pm1: [1, 3, H, W] each, legal sizes, whose latents are to have about unit variance; for one that needs no LR
    """
    report = ConformanceReport(type(autoencoder).__name__)
    step = autoencoder.factor * upscale
    height, width = 2 * step, 3 * step
    draw = generator(seed)
    lr = torch.rand(2, 3, height // upscale, width // upscale, generator=draw) * 1.6 - 0.8
    smooth = torch.nn.functional.interpolate(lr, size=(height, width), mode="bilinear")
    image = smooth + 0.1 * torch.randn(smooth.shape, generator=draw)
    latent_size = [2, autoencoder.channels, height // autoencoder.factor, width // autoencoder.factor]

    def sizes() -> None:
        z = autoencoder.encode(image, lr)
        if list(z.shape) != latent_size:
            raise AssertionError(
                f"a picture {list(image.shape)} gave a latent {list(z.shape)}; factor and channels promise {latent_size}"
            )
        if (picture := autoencoder.decode(z, lr)).shape != image.shape:
            raise AssertionError(f"it decodes to {list(picture.shape)}; wanted {list(image.shape)}")

    def batch() -> str:
        together = autoencoder.encode(image, lr)
        alone = torch.cat([autoencoder.encode(image[i : i + 1], lr[i : i + 1]) for i in range(2)])
        # GEMMs and convolutions round differently by batch size
        return close("latent", together, alone, 1e-5)

    def deterministic() -> str:
        latent = close("latent", autoencoder.encode(image, lr), z := autoencoder.encode(image, lr), 0)
        return f"{latent}; {close('picture', autoencoder.decode(z, lr), autoencoder.decode(z, lr), 0)}"

    def gradients() -> None:
        z = autoencoder.encode(image, lr).detach().requires_grad_()
        source = image.clone().requires_grad_()
        for what, value, of in (("decode", autoencoder.decode(z, lr), z), ("encode", autoencoder.encode(source, lr), source)):
            (slope,) = torch.autograd.grad(value.square().sum(), of)
            if not (bool(slope.isfinite().all()) and bool((slope != 0).any())):
                raise AssertionError(f"the gradient of {what} is zero or not finite")

    def low_resolution() -> None:
        if autoencoder.needs_lr:
            refused(lambda: autoencoder.encode(image, None))
            refused(lambda: autoencoder.decode(autoencoder.encode(image, lr), None))
        elif not torch.equal(autoencoder.encode(image, lr), autoencoder.encode(image)):
            raise AssertionError("needs_lr is False, but the LR picture changes the latent")

    def bfloat16() -> str:
        z = autoencoder.encode(image.bfloat16(), lr.bfloat16())
        if not z.is_floating_point():
            raise AssertionError(f"a bfloat16 picture gave a latent of {z.dtype}")
        picture = autoencoder.decode(z, lr.bfloat16())
        if tolerance is None:
            return _finite(picture)
        # 8 bits of mantissa in the picture; a latent of detail alone magnifies them, so compare after decoding
        return close("picture", picture, image, max(tolerance, 2**-6))

    report.hold("latent and picture have the declared sizes", sizes)
    report.hold("decode undoes encode", lambda: _round_trip(autoencoder, image, lr, tolerance))
    report.hold("each picture is encoded by itself", batch)
    report.hold("the same picture has the same latent, and the same latent the same picture", deterministic)
    report.hold("gradients are finite and not zero", gradients)
    report.hold("needs_lr tells the truth", low_resolution)
    report.hold("bfloat16 pictures survive", bfloat16)
    report.hold("latents of photos have about unit variance", lambda: _unit_variance(autoencoder, photos_pm1))
    if autoencoder.factor > 1:
        report.hold("a size that factor does not divide is refused", lambda: _odd_size(autoencoder))
    report.hold("another number of channels is refused", lambda: refused(lambda: _wrong_channels(autoencoder, latent_size, lr)))
    return report


def _round_trip(autoencoder: Autoencoder, image: Tensor, lr: Tensor, tolerance: float | None) -> str:
    if tolerance is None:
        raise LawSkippedError("its weights are not trained (tolerance=None)")
    return close("picture", autoencoder.decode(autoencoder.encode(image, lr), lr), image, tolerance)


def _unit_variance(autoencoder: Autoencoder, photos_pm1: Sequence[Tensor]) -> str:
    """Every photo counts alike, whatever its size."""
    if not photos_pm1:
        raise LawSkippedError("no photos were given (photos_pm1)")
    with torch.no_grad():
        latents = [autoencoder.encode(photo) for photo in photos_pm1]
    mean = sum(z.mean().item() for z in latents) / len(latents)
    std = math.sqrt(sum((z - mean).square().mean().item() for z in latents) / len(latents))
    if not (abs(std - 1) <= UNIT and abs(mean) <= UNIT):
        raise AssertionError(f"mean {mean:.3f}, standard deviation {std:.3f}; wanted 0 and 1, each within {UNIT}")
    return f"mean {mean:.3f}, standard deviation {std:.3f}"


def _finite(picture: Tensor) -> str:
    if not bool(picture.isfinite().all()):
        raise AssertionError("the picture is not finite")
    return "finite"


def _wrong_channels(autoencoder: Autoencoder, latent_size: list[int], lr: Tensor) -> Tensor:
    return autoencoder.decode(torch.zeros(latent_size[0], latent_size[1] + 1, *latent_size[2:]), lr)


def _odd_size(autoencoder: Autoencoder) -> str:
    side = 2 * autoencoder.factor + 1  # an LR picture of the same size fits any upscale
    return refused(lambda: autoencoder.encode(torch.zeros(1, 3, side, side), torch.zeros(1, 3, side, side)))
