"""Multi-scale ReLU linear attention: its further heads, and DC-AE's own layer."""

import pytest
import torch
from diffusers.models.attention_processor import SanaMultiscaleLinearAttention
from einops import rearrange
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from linearsr.attention import ReLULinearAttention
from linearsr.attention.multi_scale import MultiScaleReLULinearAttention
from tests.attention.spatial_laws import error_of_tiles, error_of_twin, heads_that_see, layer, sides, spans
from tests.strategies import normal, seeds

ROUNDING = {"rtol": 0, "atol": 1e-12}
"""Float64."""


@given(seeds, sides, sides, st.sampled_from([(), (1,), (5,), (3, 7)]), st.booleans())
def test_outputs_and_gradients_are_those_of_the_dense_form(seed, height, width, scales, qk_norm):
    attention = layer(MultiScaleReLULinearAttention, scales=scales, qk_norm=qk_norm)
    assert error_of_twin(attention, (height, width), seed) <= 1e-10  # float64 rounding


@pytest.mark.parametrize("scales", [(), (5,), (3, 7)])
def test_with_aggregations_of_zero_it_is_relu_linear_attention_of_the_first_heads(scales):
    several, plain = layer(MultiScaleReLULinearAttention, scales=scales), layer(ReLULinearAttention)
    with torch.no_grad():
        for role in (several.query_scales, several.key_scales, several.value_scales):
            for scale in role:
                scale.pointwise.zero_()
    plain.qkv.load_state_dict(several.qkv.state_dict())
    plain.proj.load_state_dict({"weight": several.proj.weight[:, :8], "bias": several.proj.bias})
    x = normal(2, 2, 15, 8)
    torch.testing.assert_close(several(x, (5, 3)), plain(x, (5, 3)), **ROUNDING)


def diffusers_twin(ours, scales):
    """DC-AE's layer with our weights; it keeps the three of a head together, where we keep the heads of each together."""
    theirs = SanaMultiscaleLinearAttention(12, 12, attention_head_dim=4, kernel_sizes=scales)
    theirs.norm_out = nn.Identity()
    qkv = rearrange(ours.qkv.weight, "(role h d) c -> (h role d) c", role=3, h=3)
    with torch.no_grad():
        for part, rows in zip((theirs.to_q, theirs.to_k, theirs.to_v), qkv.chunk(3), strict=True):
            part.weight.copy_(rows)
        for index, scale in enumerate(theirs.to_qkv_multiscale):
            roles = [role[index] for role in (ours.query_scales, ours.key_scales, ours.value_scales)]
            depthwise = torch.stack([role.depthwise.weight for role in roles])
            pointwise = torch.stack([role.pointwise for role in roles])
            scale.proj_in.weight.copy_(rearrange(depthwise, "role h d y x -> (h role d) 1 y x"))
            scale.proj_out.weight.copy_(rearrange(pointwise, "role h i o -> (h role o) i 1 1"))
        theirs.to_out.weight.copy_(ours.proj.weight)
        ours.proj.bias.zero_()
    return theirs


@pytest.mark.parametrize("scales", [(5,), (3, 7)])
@pytest.mark.parametrize("grid", [(1, 3), (5, 7)])  # theirs takes the N×N road below one token more than a head is wide
def test_output_is_that_of_diffusers_on_the_same_weights(scales, grid):
    torch.manual_seed(0)
    ours = MultiScaleReLULinearAttention(12, 3, scales=scales)
    theirs = diffusers_twin(ours, scales)
    x = normal(1, 2, grid[0] * grid[1], 12, dtype=torch.float32)
    with torch.no_grad():
        want = theirs(x.mT.unflatten(-1, grid)).flatten(2).mT
        torch.testing.assert_close(ours(x, grid), want, rtol=1e-5, atol=1e-6)  # float32


@pytest.mark.parametrize("scales", [(), (3,), (5, 3)])
def test_a_head_of_any_scale_sees_the_head_it_was_made_of(scales):
    wanted = torch.eye(2, dtype=torch.bool).repeat(1 + len(scales), 1)
    assert torch.equal(heads_that_see(layer(MultiScaleReLULinearAttention, scales=scales)), wanted)


@given(seeds, sides, sides, st.sampled_from([(), (1,), (5,), (3, 7)]), st.booleans(), st.data())
def test_tiles_with_their_margins_are_the_whole(seed, height, width, scales, qk_norm, data):
    attention = layer(MultiScaleReLULinearAttention, scales=scales, qk_norm=qk_norm)
    picture = normal(seed, 2, height, width, 8)
    assert error_of_tiles(attention, picture, spans(data, height), spans(data, width)) <= 1e-10  # float64 rounding


def test_tiles_without_their_margins_are_not():
    attention, picture = layer(MultiScaleReLULinearAttention), normal(0, 1, 6, 6, 8)
    attention.halo = 1  # it is 2
    assert error_of_tiles(attention, picture, [(0, 3), (3, 6)], [(0, 6)]) > 1e-3


def test_autocast_does_not_reach_the_mixing():
    attention = layer(MultiScaleReLULinearAttention).float()
    q, k, v = (normal(i, 1, 2, 15, 4, dtype=torch.float32) for i in range(3))
    with torch.autocast("cpu", torch.bfloat16):
        inside = attention.mix(q, k, v, (5, 3))
    assert torch.equal(inside, attention.mix(q, k, v, (5, 3)))
