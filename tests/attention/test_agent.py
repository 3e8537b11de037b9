"""Agent attention: where agents come from, and what is left when every token is one."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from linearsr.attention.agent import AgentAttention, agent_attention, agent_attention_dense, cell_means
from tests.attention.spatial_laws import error_of_twin, heads_that_see, layer
from tests.strategies import normal, seeds

ROUNDING = {"rtol": 0, "atol": 1e-12}
"""Float64: outputs are means of values of unit size."""

sides = st.integers(1, 17)


def without_local_branch(**options):
    attention = layer(AgentAttention, **options)
    torch.nn.init.zeros_(attention.local.weight)
    return attention


def qkv(seed, tokens):
    return [normal(seed + i, 2, 2, tokens, 4) for i in range(3)]


@given(seeds, sides, sides, st.integers(1, 8), st.sampled_from([1, 3, 5]), st.booleans())
def test_outputs_and_gradients_are_those_of_the_dense_form(seed, height, width, side, kernel, qk_norm):
    attention = layer(AgentAttention, agent_side=side, kernel=kernel, qk_norm=qk_norm)
    assert error_of_twin(attention, (height, width), seed) <= 1e-10  # float64 rounding


@pytest.mark.parametrize("grid", [(4, 4), (1, 4), (3, 2)])
def test_with_an_agent_for_every_token_it_is_the_product_of_two_full_softmaxes(grid):
    q, k, v = qkv(0, grid[0] * grid[1])
    want = (q @ q.mT / 2).softmax(-1) @ (q @ k.mT / 2).softmax(-1) @ v  # √4
    torch.testing.assert_close(without_local_branch(agent_side=4).mix(q, k, v, grid), want, **ROUNDING)


@given(seeds, sides, sides, st.integers(1, 8))
def test_agents_are_adaptive_means_over_the_grid(seed, height, width, side):
    q = normal(seed, 2, 3, height * width, 4)
    picture = q.movedim(-1, 2).flatten(1, 2).unflatten(-1, (height, width))
    pooled = torch.nn.functional.adaptive_avg_pool2d(picture, (min(side, height), min(side, width)))
    want = pooled.flatten(2).unflatten(1, (3, 4)).mT
    torch.testing.assert_close(cell_means(q, (height, width), side), want, **ROUNDING)


@given(seeds, sides, sides)
def test_equal_values_stay_equal(seed, height, width):
    q, k, v = qkv(seed, height * width)
    v = v[:, :, :1].expand_as(v)
    torch.testing.assert_close(without_local_branch().mix(q, k, v, (height, width)), v, **ROUNDING)


def test_a_single_agent_tells_every_token_the_same():
    q, k, v = qkv(0, 15)
    out = without_local_branch(agent_side=1).mix(q, k, v, (5, 3))
    want = (q.mean(2, keepdim=True) @ k.mT / 2).softmax(-1) @ v
    torch.testing.assert_close(out, want.expand_as(out), **ROUNDING)


def test_heads_stand_alone():
    assert torch.equal(heads_that_see(layer(AgentAttention)), torch.eye(2, dtype=torch.bool))


def test_autocast_does_not_reach_the_two_softmaxes():
    q, k, v = (x.float() for x in qkv(0, 60))
    agents = cell_means(q, (6, 10), 3)
    outside = agents, agent_attention(q, k, v, agents), agent_attention_dense(q, k, v, agents)
    with torch.autocast("cpu", torch.bfloat16):
        inside = cell_means(q, (6, 10), 3), agent_attention(q, k, v, agents), agent_attention_dense(q, k, v, agents)
    assert all(torch.equal(one, other) for one, other in zip(inside, outside, strict=True))
