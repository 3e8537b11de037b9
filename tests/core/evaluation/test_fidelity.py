"""PSNR, SSIM and Y agree with scikit-image where the conventions meet, and with the known figures of bicubic."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from linearsr.core.errors import ConfigError, ShapeError
from linearsr.core.evaluation.color import rgb_to_y
from linearsr.core.evaluation.fidelity import psnr, ssim
from linearsr.core.pixels import round_to_8bit
from tests.strategies import seeds

metrics = pytest.importorskip("skimage.metrics")
color = pytest.importorskip("skimage.color")

sizes = st.tuples(st.integers(11, 24), st.integers(11, 24))
CHANNELS = ("y", "rgb")


def pair(seed: int, size: tuple[int, int], noise: float = 0.1) -> tuple[torch.Tensor, torch.Tensor]:
    """A picture and a noisy one, on the 8-bit grid."""
    generator = torch.Generator().manual_seed(seed)
    a = torch.rand(3, *size, generator=generator)
    return round_to_8bit(a), round_to_8bit(a + noise * torch.randn(3, *size, generator=generator))


def as_skimage(image: torch.Tensor, channel: str, crop: int) -> np.ndarray:
    """[H, W, C] on the scale of 0..255, by scikit-image's own colour conversion."""
    inside = image[:, crop : image.shape[1] - crop, crop : image.shape[2] - crop]
    rgb = inside.permute(1, 2, 0).double().numpy()
    return color.rgb2ycbcr(rgb)[..., :1] if channel == "y" else rgb * 255


@given(seed=seeds, size=sizes, crop=st.integers(0, 5), channel=st.sampled_from(CHANNELS))
def test_psnr_equals_scikit_image(seed, size, crop, channel):
    a, b = pair(seed, size)
    want = metrics.peak_signal_noise_ratio(*(as_skimage(x, channel, crop) for x in (a, b)), data_range=255)
    assert psnr(a, b, channel=channel, crop_border=crop) == pytest.approx(want, abs=1e-9)


@given(seed=seeds, size=sizes, crop=st.integers(0, 5), channel=st.sampled_from(CHANNELS))
def test_ssim_equals_scikit_image_with_the_gaussian_window(seed, size, crop, channel):
    a, b = pair(seed, (size[0] + 2 * crop, size[1] + 2 * crop))
    want = metrics.structural_similarity(
        *(as_skimage(x, channel, crop) for x in (a, b)),
        data_range=255,
        channel_axis=-1,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
    )
    # scikit-image filters the mirrored picture and averages the inside: the same numbers, other roundings of float64
    assert ssim(a, b, channel=channel, crop_border=crop) == pytest.approx(want, abs=1e-9)


def test_y_is_the_ycbcr_of_matlab():
    colours = torch.tensor([[0, 0, 0], [1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=torch.float64).T[:, None]
    # rgb2ycbcr of MATLAB's manual: black 16, white 235, and the three rows of BT.601
    want = torch.tensor([[16, 235, 81.481, 144.553, 40.966]], dtype=torch.float64)
    torch.testing.assert_close(rgb_to_y(colours), want)
    batch = torch.rand(2, 3, 4, 5)
    assert torch.equal(rgb_to_y(batch)[1], rgb_to_y(batch[1]))


@pytest.mark.parametrize("channel", CHANNELS)
def test_one_level_everywhere_is_48_db_in_rgb_and_more_in_y(channel):
    a = torch.full((3, 20, 20), 100 / 255)
    want = 10 * math.log10(255**2 / (1.0 if channel == "rgb" else (219 / 255) ** 2))
    # a and a + 1/255 are float32
    assert psnr(a, a + 1 / 255, channel=channel, crop_border=2) == pytest.approx(want, abs=1e-4)


@given(seed=seeds, size=sizes, channel=st.sampled_from(CHANNELS))
def test_laws_of_both_figures(seed, size, channel):
    a, b = pair(seed, size)
    options = {"channel": channel, "crop_border": 0}
    assert psnr(a, a, **options) == math.inf
    assert ssim(a, a, **options) == pytest.approx(1, abs=1e-12)
    for figure in (psnr, ssim):
        value = figure(a, b, **options)
        assert figure(b, a, **options) == pytest.approx(value, abs=1e-12)  # symmetric
        assert figure(a.flip(-1), b.flip(-1), **options) == pytest.approx(value, abs=1e-9)
        assert value < figure(a, a, **options)


@given(seed=seeds, crop=st.integers(1, 4), channel=st.sampled_from(CHANNELS))
def test_what_lies_in_the_border_is_not_measured(seed, crop, channel):
    a, b = pair(seed, (20, 21))
    framed = torch.ones_like(b)
    inside = (slice(None), slice(crop, -crop), slice(crop, -crop))
    framed[inside] = b[inside]
    for figure in (psnr, ssim):
        options = {"channel": channel, "crop_border": crop}
        assert figure(a, framed, **options) == figure(a, b, **options)
        assert figure(a, framed, channel=channel, crop_border=crop - 1) != figure(a, b, channel=channel, crop_border=crop - 1)


@pytest.mark.parametrize("figure", [psnr, ssim])
def test_a_picture_with_nan_gets_nan(figure):
    a, b = pair(0, (16, 16))
    b[1, 8, 8] = torch.nan
    assert math.isnan(figure(a, b, crop_border=0))


@pytest.mark.parametrize("figure", [psnr, ssim])
def test_sizes_that_do_not_fit_are_refused_with_their_numbers(figure):
    with pytest.raises(ShapeError, match=r"\[3, 16, 16\] and \[3, 16, 17\]"):
        figure(torch.rand(3, 16, 16), torch.rand(3, 16, 17), crop_border=0)
    with pytest.raises(ShapeError, match=r"\[1, 3, 16, 16\]"):
        figure(torch.rand(1, 3, 16, 16), torch.rand(1, 3, 16, 16), crop_border=0)
    with pytest.raises(ShapeError, match="crop_border=8 off each side of 16×16"):
        figure(torch.rand(3, 16, 16), torch.rand(3, 16, 16), crop_border=8)
    with pytest.raises(ConfigError, match=r"no channel 'Y'.*known: y, rgb"):
        figure(torch.rand(3, 16, 16), torch.rand(3, 16, 16), channel="Y", crop_border=0)


def test_ssim_needs_room_for_one_window_and_psnr_for_one_pixel():
    a, b = pair(0, (18, 18))
    assert math.isfinite(ssim(a[:, :11, :11], b[:, :11, :11], crop_border=0))
    with pytest.raises(ShapeError, match=r"10×10 after crop_border=4.*11×11"):
        ssim(a, b, crop_border=4)
    assert math.isfinite(psnr(a[:, :1, :1], b[:, :1, :1], crop_border=0))


def test_the_colour_conversion_of_pillow_is_another_one():
    white = Image.new("RGB", (1, 1), (255, 255, 255)).convert("YCbCr")
    assert white.getpixel((0, 0))[0] == 255  # full range; ours says 235, so the two must not be mixed
    assert rgb_to_y(torch.ones(3, 1, 1)).item() == pytest.approx(235)
