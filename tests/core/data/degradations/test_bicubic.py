"""Laws of the bicubic degradation."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from linearsr.core.data.degradations import degrade_bicubic
from linearsr.core.data.images import list_images, read_image
from linearsr.core.errors import ShapeError
from linearsr.core.resampling import resize_bicubic
from tests.strategies import seeds

shapes = st.tuples(st.integers(1, 2), st.integers(1, 6), st.integers(1, 6))
scales = st.integers(1, 4)


def picture(seed: int, batch: int, rows: int, columns: int, scale: int) -> torch.Tensor:
    noise = torch.Generator().manual_seed(seed)
    return torch.rand(batch, 3, rows * scale, columns * scale, generator=noise)


@given(seed=seeds, shape=shapes, scale=scales)
def test_the_size_is_exact_and_every_value_is_a_level_in_0_to_1(seed, shape, scale):
    hr = picture(seed, *shape, scale).round()  # black and white: the cubic overshoots on both sides
    lr = degrade_bicubic(hr, scale)
    assert lr.shape == (shape[0], 3, shape[1], shape[2])
    assert lr.min() >= 0
    assert lr.max() <= 1
    assert torch.equal(lr, (lr * 255).round() / 255)


@given(level=st.integers(0, 255), shape=shapes, scale=scales)
def test_a_constant_picture_stays_constant(level, shape, scale):
    hr = torch.full((shape[0], 3, shape[1] * scale, shape[2] * scale), level / 255)
    assert torch.equal(degrade_bicubic(hr, scale), hr[:, :, : shape[1], : shape[2]])


@given(seed=seeds, shape=shapes, scale=scales, dims=st.sampled_from([[-1], [-2], [-2, -1]]))
def test_flipping_before_is_flipping_after(seed, shape, scale, dims):
    hr = picture(seed, *shape, scale).double()
    got, want = degrade_bicubic(hr.flip(dims), scale), degrade_bicubic(hr, scale).flip(dims)
    # random float64 values hit no rounding tie, so the other order of summation (1e-16) changes no level
    assert torch.equal(got, want)


@given(seed=seeds, shape=shapes, scale=scales)
def test_a_single_picture_is_a_batch_of_one(seed, shape, scale):
    hr = picture(seed, 1, *shape[1:], scale)
    assert torch.equal(degrade_bicubic(hr[0], scale), degrade_bicubic(hr, scale)[0])


def test_is_the_antialiased_kernel_rounded_to_the_nearest_level():
    hr = picture(0, 2, 5, 4, 4)
    plain = resize_bicubic(hr, (5, 4)).clamp(0, 1)
    # half a level, and float32
    assert (degrade_bicubic(hr, 4) - plain).abs().max() <= 0.5 / 255 + 1e-6


@pytest.mark.parametrize(
    ("hr", "scale", "words"),
    [
        (torch.rand(1, 3, 10, 8), 4, "10×8.*multiples of 4"),
        (torch.rand(1, 1, 8, 8), 4, r"\[1, 1, 8, 8\]"),
        (torch.rand(3, 8, 8), 0, "scale is 0"),
        (torch.rand(3, 0, 8), 4, "0×8"),
    ],
)
def test_other_sizes_are_refused_with_their_numbers(hr, scale, words):
    with pytest.raises(ShapeError, match=words):
        degrade_bicubic(hr, scale)


def test_makes_the_lr_of_set5_but_for_matlabs_rounding_between_rows_and_columns(data_root):
    folders = (data_root / "eval" / "Set5" / name for name in ("HR", "LRx4"))
    for hr_path, lr_path in zip(*map(list_images, folders), strict=True):
        difference = (degrade_bicubic(read_image(hr_path), 4) - read_image(lr_path)).abs() * 255
        inside = difference[:, 2:-2, 2:-2].round()  # the kernel reaches 2 LR pixels; MATLAB mirrors there
        assert inside.max() <= 2
        assert inside.mean() < 0.15
