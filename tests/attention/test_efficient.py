"""Efficient attention is two softmaxes, and its outputs are means of values."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from linearsr.attention.efficient import EfficientAttention
from tests.strategies import normal, seeds

ROUNDING = {"rtol": 0, "atol": 1e-12}
"""Float64: means of values of unit size."""

tokens = st.integers(1, 23)
scales = st.floats(2**-6, 2**10)
attention = EfficientAttention(8, 2).double()


def qkv(seed, n, scale=1.0):
    """[2, 2, n, 4] each; queries and keys `scale` in size."""
    return scale * normal(seed, 2, 2, n, 4), scale * normal(seed + 1, 2, 2, n, 4), normal(seed + 2, 2, 2, n, 4)


def mix(q, k, v):
    return attention.mix(q, k, v, (1, q.shape[2]))


def test_a_case_worked_by_hand():
    # softmax over channels (1, 3)/4; over tokens (1, 1)/2 in the first channel, (1, 4)/5 in the second
    q = torch.tensor([[1.0, 3.0]], dtype=torch.float64).log().view(1, 1, 1, 2)
    k = torch.tensor([[2.0, 1.0], [2.0, 4.0]], dtype=torch.float64).log().view(1, 1, 2, 2)
    v = torch.tensor([[10.0], [20.0]], dtype=torch.float64).view(1, 1, 2, 1)
    want = torch.tensor([[[[15 / 4 + 3 * 18 / 4]]]], dtype=torch.float64)
    torch.testing.assert_close(mix(q, k, v), want, rtol=1e-13, atol=0)


@given(seeds, tokens, scales)
def test_output_is_that_of_torchs_two_softmaxes(seed, n, scale):
    q, k, v = qkv(seed, n, scale)
    want = torch.einsum("bhid,bhjd,bhje->bhie", q.softmax(3), k.softmax(2), v)
    torch.testing.assert_close(mix(q, k, v), want, **ROUNDING)


@given(seeds, tokens, scales)
def test_an_output_lies_between_the_smallest_and_the_largest_value(seed, n, scale):
    q, k, v = qkv(seed, n, scale)
    out = mix(q, k, v)
    assert bool(((out >= v.amin(2, keepdim=True) - 1e-12) & (out <= v.amax(2, keepdim=True) + 1e-12)).all())


@given(seeds, tokens, st.integers(2, 4))
def test_all_keys_and_values_given_several_times_change_nothing(seed, n, times):
    q, k, v = qkv(seed, n)
    torch.testing.assert_close(mix(q, k.repeat(1, 1, times, 1), v.repeat(1, 1, times, 1)), mix(q, k, v), **ROUNDING)


@given(seeds, tokens, st.floats(-300, 300), st.floats(-300, 300))
def test_a_number_added_to_all_of_a_query_or_of_a_channel_of_keys_changes_nothing(seed, n, a, b):
    q, k, v = qkv(seed, n)
    # adding 300 rounds what it is added to to 6e-14
    torch.testing.assert_close(mix(q + a, k + b, v), mix(q, k, v), rtol=0, atol=1e-12)


@given(seeds, tokens)
def test_tiles_of_wildly_different_keys_add_up_to_the_whole(seed, n):
    q, k, v = qkv(seed, 2 * n)
    k = torch.cat([k[:, :, :n] + 300, k[:, :, n:] - 300], 2)
    for upper, lower in ((slice(0, n), slice(n, None)), (slice(n, None), slice(0, n))):
        state = attention.summarise(k[:, :, upper], v[:, :, upper]) + attention.summarise(k[:, :, lower], v[:, :, lower])
        torch.testing.assert_close(attention.read(q, state), attention.mix_dense(q, k, v, (2, n)), **ROUNDING)
