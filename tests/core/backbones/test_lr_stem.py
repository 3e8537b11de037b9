"""The LR stem: which strides, what happens at the edges, what is refused."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from linearsr.core.backbones import ConvStem
from linearsr.core.backbones.lr_stem import spread_strides
from linearsr.core.errors import ConfigError, ShapeError
from tests.strategies import normal


@given(st.integers(1, 64), st.integers(1, 6))
def test_strides_multiply_to_the_whole_and_the_first_are_the_smallest(stride, depth):
    strides = spread_strides(stride, depth)
    assert len(strides) == depth
    assert math.prod(strides) == stride


@pytest.mark.parametrize(
    ("stride", "depth", "strides"),
    [(8, 3, [2, 2, 2]), (2, 3, [1, 1, 2]), (1, 2, [1, 1]), (8, 1, [8]), (8, 2, [2, 4]), (6, 3, [1, 2, 3])],
)
def test_strides_are_the_papers_and_late(stride, depth, strides):
    assert spread_strides(stride, depth) == strides
    assert [conv.stride[0] for conv in ConvStem(stride, width=4, depth=depth).convs] == strides


def test_a_stem_is_convolutions_with_silu_between_written_out():
    stem, lr = ConvStem(4, width=5, depth=3, out_channels=7).double(), normal(0, 2, 3, 8, 12)
    x = lr
    for i, conv in enumerate(stem.convs):
        if i:
            x = x * torch.sigmoid(x)
        left, right = x[..., :1], x[..., -1:]
        x = torch.cat([left, x, right], -1)
        x = torch.cat([x[..., :1, :], x, x[..., -1:, :]], -2)
        x = F.conv2d(x, conv.weight, conv.bias, stride=[1, 2, 2][i])
    assert stem.out_channels == 7
    assert x.shape == (2, 7, 2, 3)
    torch.testing.assert_close(stem(lr), x, rtol=0, atol=1e-13)  # float64 rounding


@pytest.mark.parametrize("stride", [1, 2, 8])
def test_a_constant_picture_has_constant_features_up_to_the_edges(stride):
    features = ConvStem(stride, width=6).double()(torch.full((1, 3, 3 * stride, 4 * stride), 0.7, dtype=torch.float64))
    torch.testing.assert_close(features, features[..., :1, :1].expand_as(features), rtol=0, atol=1e-13)  # float64 rounding


def test_a_picture_moved_by_a_whole_stride_moves_its_features():
    stem, lr = ConvStem(4, width=6).double(), normal(0, 1, 3, 32, 32)
    moved = stem(lr.roll((4, 8), (2, 3)))
    # two latent pixels from an edge the wrapped border is out of sight of three 3×3 convolutions with strides 1, 2, 2
    torch.testing.assert_close(moved[..., 3:-2, 4:-2], stem(lr).roll((1, 2), (2, 3))[..., 3:-2, 4:-2], rtol=0, atol=1e-13)


@pytest.mark.parametrize("size", [(9, 8), (8, 7), (4, 8)])
def test_sides_that_are_no_multiples_are_refused(size):
    with pytest.raises(ShapeError, match="its sides must be multiples of 8"):
        ConvStem(8, width=4)(torch.zeros(1, 3, *size))


@pytest.mark.parametrize("options", [{"stride": 0}, {"stride": 2, "depth": 0}])
def test_no_stride_and_no_convolution_are_refused(options):
    with pytest.raises(ConfigError, match="wanted whole numbers ≥ 1"):
        ConvStem(**options)
