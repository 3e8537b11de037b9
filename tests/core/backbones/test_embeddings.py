"""Latents to tokens, places and times to vectors: against torch's convolution and diffusers' formulas."""

import pytest
import torch
import torch.nn.functional as F
from diffusers.models.embeddings import get_2d_sincos_pos_embed, get_timestep_embedding
from hypothesis import given
from hypothesis import strategies as st

from linearsr.core.backbones.patch_embed import PatchEmbed, SinCosPositions
from linearsr.core.backbones.timestep_embed import TimestepEmbed, sinusoid
from linearsr.core.errors import ConfigError, ShapeError
from tests.strategies import normal, seeds

ROUNDING = {"rtol": 0, "atol": 1e-13}
"""Float64, sums of a few dozen products of unit size."""


@given(seeds, st.integers(1, 3), st.integers(1, 4), st.integers(1, 4))
def test_a_patch_embedding_is_a_convolution_whose_kernel_is_its_stride(seed, p, h, w):
    embed, x = PatchEmbed(5, 7, p).double(), normal(seed, 2, 5, h * p, w * p)
    want = F.conv2d(x, embed.weight, embed.bias, stride=p).flatten(2).transpose(1, 2)
    torch.testing.assert_close(embed(x), want, **ROUNDING)


@given(seeds, st.integers(1, 3), st.integers(1, 5))
def test_the_shares_of_first_and_last_channels_add_to_the_embedding_of_all(seed, p, first):
    embed, x = PatchEmbed(6, 7, p).double(), normal(seed, 2, 6, 3 * p, 2 * p)
    shared = embed(x[:, :first], embed.share_of(x[:, first:]))
    torch.testing.assert_close(shared, embed(x), **ROUNDING)


def test_gradients_reach_the_weight_through_both_shares():
    embed, x = PatchEmbed(6, 7, 2).double(), normal(0, 2, 6, 4, 6)
    towards = normal(1, 2, 6, 7)
    shared = torch.autograd.grad((embed(x[:, :4], embed.share_of(x[:, 4:])) * towards).sum(), list(embed.parameters()))
    whole = torch.autograd.grad((embed(x) * towards).sum(), list(embed.parameters()))
    for got, want in zip(shared, whole, strict=True):
        torch.testing.assert_close(got, want, **ROUNDING)


def test_a_latent_that_is_no_multiple_of_the_patch_is_refused_in_either_share():
    embed, x = PatchEmbed(6, 7, 2), torch.zeros(1, 3, 4, 5)
    for attempt in (embed, embed.share_of):
        with pytest.raises(ShapeError, match="multiples of patch_size=2"):
            attempt(x)


@pytest.mark.parametrize("grid", [(1, 1), (4, 4), (3, 8), (16, 5)])
@pytest.mark.parametrize(("base", "scale"), [(16, 1.0), (32, 2.0)])
def test_positions_are_diffusers(grid, base, scale):
    want = get_2d_sincos_pos_embed(24, grid, interpolation_scale=scale, base_size=base)[None]
    got = SinCosPositions(24, base, scale)(grid, torch.zeros(1, dtype=torch.float64))
    # theirs come from float32 places up to 32: 2e-6 of an angle
    torch.testing.assert_close(got, want.double(), rtol=0, atol=4e-6)


def test_columns_are_in_the_first_half_of_a_position_and_rows_in_the_second():
    places = SinCosPositions(16, 8, 1.0)((3, 5), torch.zeros(1, dtype=torch.float64)).view(3, 5, 16)
    torch.testing.assert_close(places[0, :, :8].expand(3, 5, 8), places[..., :8], rtol=0, atol=0)
    torch.testing.assert_close(places[:, :1, 8:].expand(3, 5, 8), places[..., 8:], rtol=0, atol=0)


def test_positions_are_cast_last():
    exact = SinCosPositions(16, 32, 1.0)((7, 5), torch.zeros(1, dtype=torch.float64))
    for dtype in (torch.float32, torch.bfloat16):
        assert torch.equal(SinCosPositions(16, 32, 1.0)((7, 5), torch.zeros(1, dtype=dtype)), exact.to(dtype))


@pytest.mark.parametrize("options", [(18, 32, 1.0), (16, 0, 1.0), (16, 32, 0.0)])
def test_impossible_positions_are_refused(options):
    with pytest.raises(ConfigError, match=r"position_scale > 0 \(None for no positions\)"):
        SinCosPositions(*options)


def test_the_sinusoid_is_diffusers_on_a_thousand_times_t():
    t = torch.tensor([0.0, 0.001, 0.25, 0.5, 0.875, 1.0], dtype=torch.float64)
    want = get_timestep_embedding(1000 * t, 256, flip_sin_to_cos=True, downscale_freq_shift=0)
    # angles reach 1000, where float32 is 3e-5 apart and the two may round a rate differently
    torch.testing.assert_close(sinusoid(t), want, rtol=0, atol=1e-4)
    torch.testing.assert_close(sinusoid(t.float()), want, rtol=0, atol=1e-4)


def test_times_that_bfloat16_cannot_tell_apart_have_vectors_of_their_own():
    t = torch.tensor([0.875, 0.876])
    near, far = sinusoid(t)
    assert t.bfloat16().unique().numel() == 1
    assert (near - far).abs().max() > 0.5  # 1000·t has moved by 1, a sixth of the fastest period


def test_a_time_vector_is_linear_silu_linear_of_the_sinusoid():
    embed, t = TimestepEmbed(12).double(), torch.tensor([0.1, 0.9], dtype=torch.float64)
    hidden = sinusoid(t).double() @ embed.linear_1.weight.T + embed.linear_1.bias
    want = (hidden * torch.sigmoid(hidden)) @ embed.linear_2.weight.T + embed.linear_2.bias
    torch.testing.assert_close(embed(t), want, **ROUNDING)
