"""The Mix-FFN against diffusers' GLUMBConv."""

import pytest
import torch
from diffusers.models.transformers.sana_transformer import GLUMBConv
from hypothesis import given
from hypothesis import strategies as st

from linearsr.core.backbones import GatedConvFeedForward
from linearsr.core.errors import ConfigError, ShapeError
from tests.strategies import normal, seeds


def twins(dim, ratio):
    """Ours and diffusers', with the same weights."""
    torch.manual_seed(0)
    ours, theirs = (
        GatedConvFeedForward(dim, ratio=ratio).double(),
        GLUMBConv(dim, dim, ratio, residual_connection=False).double(),
    )
    theirs.load_state_dict(
        {
            "conv_inverted.weight": ours.expand.weight[..., None, None],
            "conv_inverted.bias": ours.expand.bias,
            "conv_depth.weight": ours.depthwise.weight,
            "conv_depth.bias": ours.depthwise.bias,
            "conv_point.weight": ours.contract.weight[..., None, None],
        }
    )
    return ours, theirs


@given(seeds, st.integers(1, 7), st.integers(1, 7), st.sampled_from([1.0, 2.0, 2.5]))
def test_output_and_gradients_are_those_of_diffusers(seed, h, w, ratio):
    ours, theirs = twins(5, ratio)
    picture = normal(seed, 2, 5, h, w).requires_grad_()
    tokens = picture.detach().flatten(2).transpose(1, 2).requires_grad_()
    got, want = ours(tokens, (h, w)), theirs(picture).flatten(2).transpose(1, 2)
    torch.testing.assert_close(got, want, rtol=0, atol=1e-13)  # float64 rounding
    towards = normal(seed + 1, *got.shape)
    mine = torch.autograd.grad((got * towards).sum(), [tokens, ours.depthwise.weight])
    other = torch.autograd.grad((want * towards).sum(), [picture, theirs.conv_depth.weight])
    torch.testing.assert_close(mine[0], other[0].flatten(2).transpose(1, 2), rtol=0, atol=1e-12)
    torch.testing.assert_close(mine[1], other[1], rtol=0, atol=1e-12)


def test_a_token_reaches_its_eight_neighbours_and_no_further():
    ours, _ = twins(4, 2.5)
    x = normal(0, 1, 35, 4)
    changed = x.clone()
    changed[:, 3 * 7 + 2] += 1  # row 3, column 2 of a 5×7 grid
    moved = (ours(changed, (5, 7)) - ours(x, (5, 7))).abs().amax(-1).view(5, 7) > 0
    want = torch.zeros(5, 7, dtype=torch.bool)
    want[2:5, 1:4] = True
    assert torch.equal(moved, want)


def test_a_ratio_that_leaves_no_channel_is_refused():
    with pytest.raises(ConfigError, match=r"feed_forward\.ratio=0\.1 leaves no channel at a width of 4"):
        GatedConvFeedForward(4, ratio=0.1)


@pytest.mark.parametrize("grid", [(2, 4), (3, 3)])
def test_tokens_that_do_not_fill_the_grid_are_refused(grid):
    with pytest.raises(ShapeError, match=rf"wanted \[B, {grid[0] * grid[1]}, D\]"):
        GatedConvFeedForward(4)(torch.zeros(1, 6, 4), grid)
