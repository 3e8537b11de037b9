"""OpenCV's steps next to what Real-ESRGAN runs them with: torch's convolution and interpolation. Slow twins, on odd sizes."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from linearsr.core.data.degradations.kernels import gaussian_kernel, sinc_kernel
from linearsr.core.data.degradations.pixel_steps import Picture, blur, resize

sides = st.integers(11, 60)
"""From 11 on: torch mirrors no more than a picture holds, and the largest kernel reaches 10 pixels out."""


def noise(height: int, width: int) -> Picture:
    return np.random.default_rng(height * 100 + width).random((height, width, 3), np.float32)


def batch(picture: Picture) -> torch.Tensor:
    return torch.from_numpy(picture.transpose(2, 0, 1).copy())[None]


def assert_same(picture: Picture, wanted: torch.Tensor, tolerance: float) -> None:
    assert np.abs(picture - wanted[0].permute(1, 2, 0).numpy()).max() <= tolerance


@given(sides, sides, st.sampled_from([7, 9, 11, 13, 21]), st.booleans(), st.floats(-math.pi, math.pi))
def test_a_blur_is_torchs_convolution_of_the_mirrored_picture(height, width, size, rings, angle) -> None:
    picture = noise(height, width)
    kernel = sinc_kernel(size, 1.3) if rings else gaussian_kernel(size, (2.0, 0.6), angle, 0.8)
    mirrored = F.pad(batch(picture), (size // 2,) * 4, mode="reflect").transpose(0, 1)
    wanted = F.conv2d(mirrored, torch.from_numpy(kernel)[None, None]).transpose(0, 1)
    assert_same(blur(picture, kernel), wanted, 5e-6)  # kernels from 11×11 on go through an FFT: seen up to 1e-6


@given(st.sampled_from(["bilinear", "bicubic"]), sides, sides, sides, sides)
def test_bilinear_and_bicubic_are_torchs_without_antialiasing(mode, height, width, new_height, new_width) -> None:
    picture = noise(height, width)
    wanted = F.interpolate(batch(picture), size=(new_height, new_width), mode=mode)
    assert_same(resize(picture, (new_height, new_width), mode), wanted, 5e-5)  # places are float32: seen up to 7e-6


@pytest.mark.parametrize("factor", [1, 2, 3, 4])
def test_area_is_the_mean_of_blocks_as_torchs_is_at_whole_factors(factor: int) -> None:
    """Elsewhere torch averages boxes of whole pixels that overlap; OpenCV weights pixels by the part that lies inside."""
    picture = noise(12 * factor, 15 * factor)
    assert_same(resize(picture, (12, 15), "area"), F.interpolate(batch(picture), size=(12, 15), mode="area"), 1e-6)


def test_area_weights_a_pixel_by_the_part_that_lies_inside() -> None:
    three = np.repeat(np.array([[0.0, 0.6, 0.9]], np.float32)[..., None], 3, -1)
    assert np.allclose(resize(three, (1, 2), "area")[0, :, 0], [0.2, 0.8], atol=1e-6)  # (0 + .6/2) / 1.5, (.6/2 + .9) / 1.5
