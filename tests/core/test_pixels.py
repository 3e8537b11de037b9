"""The 8-bit grid."""

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from linearsr.core.pixels import from_uint8, round_to_8bit, to_uint8
from tests.strategies import normal, seeds


def test_every_level_survives_the_way_to_float_and_back():
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_uint8(from_uint8(levels)), levels)
    assert torch.equal(round_to_8bit(from_uint8(levels)), from_uint8(levels))


@given(seed=seeds)
def test_both_roads_to_8_bits_agree_and_rounding_twice_is_rounding_once(seed):
    picture = normal(seed, 3, 5, 7, dtype=torch.float32)
    once = round_to_8bit(picture)
    assert torch.equal(once, from_uint8(to_uint8(picture)))
    assert torch.equal(round_to_8bit(once), once)
    assert (once - picture.clamp(0, 1)).abs().max() <= 0.5 / 255 + 1e-7


@given(level=st.integers(0, 254))
def test_a_tie_goes_to_the_even_level(level):
    half = torch.tensor((level + 0.5) / 255, dtype=torch.float64)
    if half * 255 == level + 0.5:  # a division that came out exact is a tie in binary, too
        assert int(to_uint8(half)) == level + level % 2


def test_what_lies_outside_is_clamped_and_nan_is_kept_or_black():
    picture = torch.tensor([-1.0, 2.0, math.inf, -math.inf, math.nan])
    assert to_uint8(picture).tolist() == [0, 255, 255, 0, 0]
    rounded = round_to_8bit(picture)
    assert rounded[:4].tolist() == [0, 1, 1, 0]
    assert rounded[4].isnan()
