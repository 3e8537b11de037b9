"""resize_bicubic is Pillow's BICUBIC, without its rounding."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from linearsr.core.errors import ShapeError
from linearsr.core.resampling import resize_bicubic
from tests.strategies import normal, seeds

sides = st.integers(1, 24)


def pillow_float(channel: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.asarray(Image.fromarray(channel).resize(size[::-1], Image.Resampling.BICUBIC))


@given(seed=seeds, height=sides, width=sides, new_height=sides, new_width=sides)
def test_equals_pillow_up_and_down_in_float32(seed, height, width, new_height, new_width):
    picture = np.random.default_rng(seed).random((height, width), dtype=np.float32)
    got = resize_bicubic(torch.from_numpy(picture)[None, None], (new_height, new_width))[0, 0].numpy()
    # both sum up to 4·24 float32 products (6e-8 each) twice, in different orders
    np.testing.assert_allclose(got, pillow_float(picture, (new_height, new_width)), atol=2e-6)


@pytest.mark.parametrize("size", [(12, 15), (96, 120), (31, 77)])
def test_equals_pillow_on_8_bit_pictures_within_its_two_roundings(size):
    levels = np.random.default_rng(0).integers(64, 192, (48, 60, 3), dtype=np.uint8)  # so that nothing is clamped
    want = np.asarray(Image.fromarray(levels).resize(size[::-1], Image.Resampling.BICUBIC)).astype(np.float64)
    ours = resize_bicubic(torch.from_numpy(levels).permute(2, 0, 1)[None].double(), size)[0].permute(1, 2, 0).numpy()
    # half a level for the columns, and half a level for the rows before, times the sum of |weights| ≤ 1.4
    assert np.abs(ours - want).max() <= 0.5 + 0.5 * 1.4
    assert np.abs(ours - want).mean() < 0.4


@given(value=st.floats(-3, 3), size=st.tuples(sides, sides))
def test_a_constant_stays_that_constant(value, size):
    picture = torch.full((1, 2, 9, 5), value, dtype=torch.float64)
    torch.testing.assert_close(resize_bicubic(picture, size), torch.full((1, 2, *size), value, dtype=torch.float64))


@given(seed=seeds, size=st.tuples(sides, sides), a=st.floats(-2, 2), b=st.floats(-2, 2))
def test_is_linear_so_nothing_is_clamped_or_rounded(seed, size, a, b):
    x, y = normal(seed, 2, 1, 3, 8, 11)
    mixed = resize_bicubic(a * x + b * y, size)
    torch.testing.assert_close(mixed, a * resize_bicubic(x, size) + b * resize_bicubic(y, size), atol=1e-12, rtol=0)


def test_the_same_size_gives_the_same_values_in_other_memory():
    picture = normal(0, 1, 3, 6, 7)
    copy = resize_bicubic(picture, (6, 7))
    assert torch.equal(copy, picture)
    assert copy.data_ptr() != picture.data_ptr()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_16_bit_floats_are_computed_in_float32_and_rounded_once(dtype):
    picture = normal(1, 1, 3, 16, 16, dtype=dtype)
    got = resize_bicubic(picture, (5, 40))
    assert got.dtype == dtype
    assert torch.equal(got, resize_bicubic(picture.float(), (5, 40)).to(dtype))


def test_gradients_reach_the_picture():
    picture = normal(2, 1, 1, 6, 6).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: resize_bicubic(x, (3, 9)), picture)


@pytest.mark.parametrize(
    ("picture", "size", "words"),
    [
        (torch.rand(3, 4, 4), (2, 2), r"\[3, 4, 4\]"),
        (torch.ones(1, 3, 4, 4, dtype=torch.uint8), (2, 2), "uint8"),
        (torch.rand(1, 3, 4, 4), (0, 2), r"\(0, 2\)"),
        (torch.rand(1, 3, 0, 4), (2, 2), "H, W ≥ 1"),
    ],
)
def test_other_shapes_are_refused_with_their_numbers(picture, size, words):
    with pytest.raises(ShapeError, match=words):
        resize_bicubic(picture, size)
