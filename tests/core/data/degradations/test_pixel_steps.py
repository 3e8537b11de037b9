"""Laws of resize, noise and JPEG on single pictures."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linearsr.core.data.degradations.pixel_steps import (
    NORMAL_FROM,
    add_gaussian_noise,
    add_poisson_noise,
    jpeg,
    resize,
)
from linearsr.core.errors import ShapeError

modes = st.sampled_from(["area", "bilinear", "bicubic"])
sides = st.integers(1, 40)


def flat(level: float, side: int = 200) -> np.ndarray:
    return np.full((side, side, 3), level, np.float32)


@given(modes, st.floats(0, 1), sides, sides, sides, sides)
def test_a_constant_picture_stays_constant_under_resize(mode, level, height, width, new_height, new_width) -> None:
    out = resize(np.full((height, width, 3), level, np.float32), (new_height, new_width), mode)
    assert out.shape == (new_height, new_width, 3)
    assert np.allclose(out, level, atol=1e-5)


def test_nothing_is_resized_to_nothing() -> None:
    with pytest.raises(ShapeError, match=r"to \(0, 5\)"):
        resize(flat(0.5), (0, 5), "area")


@pytest.mark.parametrize("sigma", [1.0, 10.0, 25.0])
def test_gaussian_noise_has_its_sigma_of_255_levels_and_no_bias(sigma: float) -> None:
    noise = add_gaussian_noise(flat(0.5), sigma, False, np.random.default_rng(0)) - 0.5
    # 120,000 draws: the mean lies within 5 sigma/√n, the deviation within 5/√(2n) of itself
    assert abs(noise.mean()) < 5 * sigma / 255 / 120000**0.5
    assert noise.std() == pytest.approx(sigma / 255, rel=5 / (2 * 120000) ** 0.5)


@pytest.mark.parametrize("add", [add_gaussian_noise, add_poisson_noise])
def test_grey_noise_is_the_same_in_all_channels_and_colour_noise_is_not(add) -> None:
    grey = add(flat(0.5), 1.0, True, np.random.default_rng(0))
    colour = add(flat(0.5), 1.0, False, np.random.default_rng(0))
    assert np.array_equal(grey[..., 0], grey[..., 1])
    assert np.array_equal(grey[..., 0], grey[..., 2])
    assert not np.array_equal(colour[..., 0], colour[..., 1])


def with_all_levels(level: int, side: int = 200) -> np.ndarray:
    """Flat, but for one row in which every level occurs, so that full white is 256 photons."""
    picture = flat(level / 255, side)
    picture[0] = (np.arange(side) * 255 // (side - 1) / 255).astype(np.float32)[:, None]
    picture[1, :, :] = (np.arange(side) / 255).astype(np.float32)[:, None]
    return picture


@pytest.mark.parametrize("level", [2, 20, 31, 33, 128, 200])
@pytest.mark.parametrize("scale", [0.5, 1.0])
def test_poisson_noise_has_the_variance_of_256_photons_of_full_white(level: int, scale: float) -> None:
    picture = with_all_levels(level)
    noise = (add_poisson_noise(picture, scale, False, np.random.default_rng(level)) - picture)[5:]
    wanted = scale**2 * level / 255 / 256
    count = noise.size
    assert noise.mean() == pytest.approx(0, abs=5 * (wanted / count) ** 0.5)  # at a scale ≤ 1 nothing falls below 0
    # kurtosis of a Poisson variable is 3 + 1/λ: five deviations of the sample variance
    photons = level / 255 * 256
    assert noise.var() == pytest.approx(wanted, rel=5 * ((2 + 1 / photons) / count) ** 0.5)


def test_shot_noise_of_few_photons_is_a_true_poisson_draw() -> None:
    """Below NORMAL_FROM: the probability of no photon at all is exp(−λ)."""
    assert NORMAL_FROM > 2
    picture = with_all_levels(2)
    drawn = add_poisson_noise(picture, 1.0, False, np.random.default_rng(1))[5:]
    wanted = np.exp(-2 / 255 * 256)
    assert (drawn < 1e-6).mean() == pytest.approx(wanted, abs=5 * (wanted / drawn.size) ** 0.5)


def test_photons_are_the_power_of_two_above_the_number_of_levels() -> None:
    """A flat picture has one level: full white is one photon, so it is drawn as black or white or more."""
    drawn = add_poisson_noise(flat(128 / 255), 1.0, False, np.random.default_rng(0))
    assert set(np.unique(drawn.round(5))) == {0.0, 1.0}


@pytest.mark.parametrize(("channel", "weight"), [(0, 0.299), (1, 0.587), (2, 0.114)])
def test_grey_shot_noise_is_that_of_the_luminance(channel: int, weight: float) -> None:
    """BT.601. Of one channel at 200/255 the rest are 0; 256 photons as every level occurs in the last rows."""
    picture = with_all_levels(0, 256)[::-1].copy()
    picture[:-2, :, channel] = 200 / 255
    noise = (add_poisson_noise(picture, 0.5, True, np.random.default_rng(channel)) - picture)[:-5, :, channel]
    wanted = 0.5**2 * round(weight * 200) / 255 / 256
    # 64,000 draws: five deviations of a sample variance, kurtosis 3 + 1/λ with λ > 20
    assert noise.var() == pytest.approx(wanted, rel=5 * (2.05 / noise.size) ** 0.5)


def test_jpeg_rounds_to_the_nearest_level() -> None:
    assert jpeg(flat(100.6 / 255, 16), 100) == pytest.approx(101 / 255, abs=1e-6)
    assert jpeg(flat(100.4 / 255, 16), 100) == pytest.approx(100 / 255, abs=1e-6)


def test_a_lower_quality_is_a_larger_error() -> None:
    side = np.linspace(0, 6, 96, dtype=np.float32)
    picture = np.repeat(np.sin(side[:, None] * side[None])[..., None] / 2 + 0.5, 3, -1)  # grey: chroma is halved at any quality
    errors = [float(np.abs(jpeg(picture, quality) - picture).mean()) for quality in (100, 90, 60, 30, 10)]
    assert errors == sorted(errors)
    assert errors[0] < errors[-1] / 2


def test_jpeg_keeps_the_order_of_the_channels_and_odd_sizes() -> None:
    red = np.zeros((33, 17, 3), np.float32)
    red[..., 0] = 1
    out = jpeg(red, 95)
    assert out.shape == red.shape
    assert out[..., 0].mean() > 0.95
    assert out[..., 2].mean() < 0.05


def test_no_step_writes_into_its_argument() -> None:
    picture = with_all_levels(100)
    before = picture.copy()
    for make in (
        lambda: jpeg(picture, 50),
        lambda: add_poisson_noise(picture, 1.0, True, np.random.default_rng(0)),
        lambda: add_gaussian_noise(picture, 9.0, True, np.random.default_rng(0)),
        lambda: resize(picture, (7, 5), "bicubic"),
    ):
        make()
        assert np.array_equal(picture, before)
