"""Lossless latents: exact values, round trips, the statistics of real photos, and what is refused."""

import math

import pytest
import torch
from einops import rearrange
from hypothesis import given
from hypothesis import strategies as st

from linearsr.core.autoencoders import PixelShuffle, ResidualPixelShuffle
from linearsr.core.autoencoders.conformance import check_autoencoder
from linearsr.core.data.bundled_photos import PHOTOS, photo_path
from linearsr.core.data.images import read_image
from linearsr.core.errors import ConfigError, ShapeError
from linearsr.core.resampling import resize_bicubic
from tests.strategies import normal, seeds

both = pytest.mark.parametrize("cls", [PixelShuffle, ResidualPixelShuffle])


@both
@given(seeds, st.sampled_from([(1, 1), (2, 1), (2, 2), (4, 2), (4, 4), (8, 4)]), st.integers(1, 3), st.integers(1, 3))
def test_decode_undoes_encode_and_encode_undoes_decode(cls, seed, sizes, h, w):
    factor, upscale = sizes
    autoencoder = cls(factor=factor)
    height, width = h * factor, w * factor
    image, lr = normal(seed, 2, 3, height, width), normal(seed + 1, 2, 3, height // upscale, width // upscale)
    z = autoencoder.encode(image, lr)
    assert z.shape == (2, autoencoder.channels, h, w)
    # a few roundings of float64, magnified by 1/sigma on the way into the latent
    torch.testing.assert_close(autoencoder.decode(z, lr), image, rtol=0, atol=1e-14)
    torch.testing.assert_close(autoencoder.encode(autoencoder.decode(z, lr), lr), z, rtol=0, atol=1e-13)


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_the_order_of_channels_is_torchs(factor):
    image = normal(0, 2, 3, 8, 12)
    z = PixelShuffle(factor=factor, shift=0.25, scale=0.5).encode(image)
    torch.testing.assert_close(z, torch.nn.functional.pixel_unshuffle((image - 0.25) / 0.5, factor), rtol=0, atol=0)


def test_a_zero_residual_latent_is_the_bicubic_picture():
    autoencoder, lr = ResidualPixelShuffle(), normal(0, 1, 3, 6, 5)
    assert torch.equal(autoencoder.decode(torch.zeros(1, 48, 6, 5, dtype=torch.float64), lr), resize_bicubic(lr, (24, 20)))


def test_the_residual_latent_is_in_units_of_sigma():
    lr, detail = normal(0, 1, 3, 3, 3), normal(1, 1, 3, 12, 12)
    z = ResidualPixelShuffle(sigma=0.25).encode(resize_bicubic(lr, (12, 12)) + 0.25 * detail, lr)
    torch.testing.assert_close(rearrange(z, "b (c p q) h w -> b c (h p) (w q)", p=4, q=4), detail, rtol=0, atol=1e-13)


@pytest.fixture(scope="module")
def bundled_pm1():
    """The 14 bundled training photos as [1, 3, H, W] in −1..1, sides cut to multiples of 4."""
    photos = [read_image(photo_path(name)) for name in PHOTOS["train"]]
    return [2 * photo[None, :, : photo.shape[1] // 4 * 4, : photo.shape[2] // 4 * 4] - 1 for photo in photos]


def mean_and_std(latents):
    """Every photo counts alike, whatever its size."""
    mean = sum(z.mean().item() for z in latents) / len(latents)
    return mean, math.sqrt(sum((z - mean).square().mean().item() for z in latents) / len(latents))


def test_the_residual_latent_of_the_bundled_photos_has_unit_variance(bundled_pm1):
    autoencoder = ResidualPixelShuffle()
    latents = []
    for image in bundled_pm1:
        lr_01 = (resize_bicubic(image, (image.shape[2] // 4, image.shape[3] // 4)).clamp(-1, 1) + 1) / 2
        latents.append(autoencoder.encode(image, (lr_01 * 255).round() / 255 * 2 - 1))
    mean, std = mean_and_std(latents)
    assert abs(mean) < 0.01
    assert std == pytest.approx(1, abs=0.1)


def test_the_plain_latent_of_the_bundled_photos_has_unit_variance(bundled_pm1):
    mean, std = mean_and_std([PixelShuffle().encode(image) for image in bundled_pm1])
    assert abs(mean) < 0.1
    assert std == pytest.approx(1, abs=0.1)


def test_a_bfloat16_lr_is_enlarged_in_float32():
    lr = normal(0, 1, 3, 4, 4).bfloat16()
    picture = ResidualPixelShuffle().decode(torch.zeros(1, 48, 4, 4, dtype=torch.bfloat16), lr)
    assert picture.dtype == torch.float32
    torch.testing.assert_close(picture, resize_bicubic(lr.float(), (16, 16)), rtol=0, atol=0)


@both
@pytest.mark.parametrize("size", [(1, 3, 15, 16), (1, 3, 16, 18), (1, 1, 16, 16), (3, 16, 16)])
def test_a_picture_of_an_illegal_shape_is_refused(cls, size):
    with pytest.raises(ShapeError, match="wanted"):
        cls().encode(torch.zeros(size), torch.zeros(1, 3, 4, 4))


@pytest.mark.parametrize("lr_size", [(4, 5), (3, 3), (32, 32), (5, 5)])
def test_an_lr_picture_of_no_whole_ratio_is_refused(lr_size):
    with pytest.raises(ShapeError, match="same whole ratio"):
        ResidualPixelShuffle().encode(torch.zeros(1, 3, 16, 16), torch.zeros(1, 3, *lr_size))


def test_another_batch_or_a_missing_lr_picture_is_refused():
    with pytest.raises(ShapeError, match=r"wanted \[2, 3"):
        ResidualPixelShuffle().encode(torch.zeros(2, 3, 16, 16), torch.zeros(1, 3, 4, 4))
    with pytest.raises(ShapeError, match="pass lr_pm1"):
        ResidualPixelShuffle().decode(torch.zeros(1, 48, 4, 4))


@pytest.mark.parametrize("options", [{"factor": 0}, {"factor": 2.0}, {"factor": True}])
@both
def test_an_impossible_factor_is_refused_with_its_key(cls, options):
    with pytest.raises(ConfigError, match=r"autoencoder\.factor"):
        cls(**options)


@pytest.mark.parametrize("value", [0, -1, math.inf, math.nan])
def test_an_impossible_scale_is_refused_with_its_key(value):
    with pytest.raises(ConfigError, match=r"autoencoder\.scale"):
        PixelShuffle(scale=value)
    with pytest.raises(ConfigError, match=r"autoencoder\.sigma"):
        ResidualPixelShuffle(sigma=value)


class LiesAboutChannels(PixelShuffle):
    def __init__(self):
        super().__init__()
        self.channels = 3


class DropsTheLowBits(PixelShuffle):
    def encode(self, image_pm1, lr_pm1=None):
        return super().encode((image_pm1 * 8).round() / 8)


class ReadsTheLRSecretly(ResidualPixelShuffle):
    needs_lr = False


@pytest.mark.parametrize(
    ("broken", "law"),
    [(LiesAboutChannels(), "declared sizes"), (DropsTheLowBits(), "undoes"), (ReadsTheLRSecretly(), "needs_lr")],
)
def test_the_check_names_the_law_that_a_broken_autoencoder_breaks(broken, law):
    assert any(law in finding.law for finding in check_autoencoder(broken).failed)
