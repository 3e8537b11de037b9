"""From picture tokens to guidance tokens: the formula, and what the mask must hide."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from linearsr.core.backbones.cross_attention import CrossAttention, GuidanceProjection, check_guidance, without_padding
from linearsr.core.errors import ConfigError, ShapeError
from linearsr.core.structures import GuidanceTokens
from tests.strategies import normal, seeds

ROUNDING = {"rtol": 0, "atol": 1e-13}
"""Float64."""


def attend(cross, x, words, mask):
    return cross(x, cross.tokens(words, mask))


def layer(qk_norm=False):
    torch.manual_seed(0)
    return CrossAttention(8, 4, qk_norm=qk_norm).double()


def masks(seed, length):
    """bool [3, length]: the first picture has every token, the others some, at least one."""
    mask = normal(seed, 3, length) > 0
    mask[0] = True
    mask[:, seed % length] = True
    return mask


@pytest.mark.parametrize("qk_norm", [False, True])
@given(seed=seeds, length=st.integers(1, 6))
def test_cross_attention_is_softmax_attention_to_the_tokens_that_count(qk_norm, seed, length):
    cross, x, words, mask = layer(qk_norm), normal(seed, 3, 5, 8), normal(seed + 1, 3, length, 8), masks(seed, length)

    def linear(part, value):
        return value @ part.weight.T + part.bias

    def normed(value):
        return value / (value.square().mean(-1, keepdim=True) + 1e-5).sqrt() if qk_norm else value

    want = []
    for i in range(3):
        counting = words[i, mask[i]]
        q = normed(linear(cross.query, x[i]))
        k, v = linear(cross.key_value, counting).chunk(2, -1)
        k = normed(k)
        heads = [(q[:, s] @ k[:, s].T / 2).softmax(-1) @ v[:, s] for s in (slice(0, 4), slice(4, 8))]  # √4
        want.append(linear(cross.proj, torch.cat(heads, -1)))
    torch.testing.assert_close(attend(cross, x, words, mask), torch.stack(want), **ROUNDING)


@given(seeds, st.integers(1, 6), st.integers(1, 4))
def test_padding_changes_nothing(seed, length, padding):
    cross, x, words, mask = layer(), normal(seed, 3, 5, 8), normal(seed + 1, 3, length, 8), masks(seed, length)
    longer = torch.cat([words, 1000 * normal(seed + 2, 3, padding, 8)], 1)
    padded = torch.cat([mask, torch.zeros(3, padding, dtype=torch.bool)], 1)
    torch.testing.assert_close(attend(cross, x, longer, padded), attend(cross, x, words, mask), **ROUNDING)


@given(seeds, st.integers(1, 6))
def test_the_order_of_tokens_with_their_mask_does_not_matter(seed, length):
    cross, x, words, mask = layer(), normal(seed, 3, 5, 8), normal(seed + 1, 3, length, 8), masks(seed, length)
    order = torch.randperm(length, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(attend(cross, x, words[:, order], mask[:, order]), attend(cross, x, words, mask), **ROUNDING)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_a_picture_without_a_token_gets_exactly_0_and_its_tokens_no_gradient(dtype):
    cross, x = layer().to(dtype), normal(0, 3, 5, 8, dtype=dtype)
    words = normal(1, 3, 4, 8, dtype=dtype).requires_grad_()
    mask = masks(0, 4)
    mask[1] = False
    out = attend(cross, x, words, mask)
    assert not out[1].any()
    assert bool(out[[0, 2]].any())
    out.square().sum().backward()
    assert bool(words.grad.isfinite().all())
    assert not words.grad[1].any()
    assert not words.grad[~mask].any()
    assert bool(words.grad[mask].any())


def test_the_projection_ends_in_a_norm_of_a_hundredth():
    project, words = GuidanceProjection(6, 64), normal(0, 2, 3, 6).float()
    assert project(words).square().mean(-1).sqrt().sub(0.01).abs().max() < 1e-4  # eps of the norm


def test_the_projection_is_linear_gelu_linear_norm():
    project, words = GuidanceProjection(6, 8).double(), normal(0, 2, 3, 6)
    hidden = words @ project.linear_1.weight.T + project.linear_1.bias
    gelu = hidden / 2 * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (hidden + 0.044715 * hidden**3)))
    out = gelu @ project.linear_2.weight.T + project.linear_2.bias
    want = 0.01 * out / (out.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    torch.testing.assert_close(project(words), want, rtol=0, atol=1e-9)  # the weight 0.01 was set in float32


@pytest.mark.parametrize("head_width", [0, 3, 16])
def test_a_head_width_that_does_not_divide_is_refused(head_width):
    with pytest.raises(ConfigError, match=rf"cross_head_width={head_width} does not divide width=8"):
        CrossAttention(8, head_width)


def test_guidance_of_another_width_or_batch_is_refused():
    words = GuidanceTokens(torch.zeros(2, 3, 5), torch.ones(2, 3, dtype=torch.bool))
    check_guidance(words, 5, 2)
    for width, batch in ((6, 2), (5, 3)):
        with pytest.raises((ConfigError, ShapeError), match="guidance"):
            check_guidance(words, width, batch)


@given(seeds, st.integers(1, 6))
def test_tokens_that_no_picture_counts_are_left_out_and_change_nothing(seed, length):
    cross, x, words = layer(), normal(seed, 3, 5, 8), normal(seed + 1, 3, length, 8)
    mask = normal(seed, 3, length) > 0.5
    with torch.no_grad():
        fewer, counting = without_padding(GuidanceTokens(words, mask))
        assert fewer.shape[1] == (mask.any(0).sum() if mask[:, 0].any() else mask.any(0).sum() + 1)
        torch.testing.assert_close(attend(cross, x, fewer, counting), attend(cross, x, words, mask), **ROUNDING)


def test_a_mask_under_which_all_count_is_no_mask_and_in_training_it_stays():
    words, all_count = normal(0, 2, 4, 8), torch.tensor([[True, False, True, False]]).expand(2, 4)
    with torch.no_grad():
        fewer, mask = without_padding(GuidanceTokens(words, all_count))
        assert (tuple(fewer.shape), mask) == ((2, 2, 8), None)
    kept, mask = without_padding(GuidanceTokens(words, all_count))
    assert kept.shape == words.shape
    assert torch.equal(mask, all_count)


def test_padding_may_hold_anything():
    words, mask = normal(0, 2, 3, 8), torch.tensor([[True, False, True], [True, True, False]])
    words[~mask] = float("nan")
    with torch.no_grad():
        assert without_padding(GuidanceTokens(words, mask))[0].isfinite().all()
    assert without_padding(GuidanceTokens(words, mask))[0].isfinite().all()
