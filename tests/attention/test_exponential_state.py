"""Laws of sums of exponentials: those of log-sum-exp and softmax, over parts of any magnitude."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from linearsr.attention.exponential_state import exp_below, sum_exponentials
from linearsr.core.errors import ShapeError
from tests.strategies import normal, seeds

ROUNDING = {"rtol": 0, "atol": 1e-12}
"""Float64: means of values of unit size; an exponent of 300 is itself rounded to 6e-14."""

tokens = st.integers(1, 23)
offsets = st.lists(st.sampled_from([-700.0, -300.0, 0.0, 300.0, 700.0]), min_size=2, max_size=4)


def logits_values(seed, n, channels=4, value_width=3):
    """logits [2, 2, n, channels], v [2, 2, n, value_width]."""
    return normal(seed, 2, 2, n, channels), normal(seed + 1, 2, 2, n, value_width)


def means(logits, v):
    return logits.softmax(-2).mT @ v


@given(seeds, tokens)
def test_a_state_is_torchs_logsumexp_and_softmax(seed, n):
    logits, v = logits_values(seed, n)
    state = sum_exponentials(logits, v)
    assert state.tokens == n
    torch.testing.assert_close((state.log_scale + state.keys.log()).squeeze(-1), logits.logsumexp(-2), **ROUNDING)
    torch.testing.assert_close(state.key_values * state.log_scale.exp(), logits.exp().mT @ v, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(state.channel_means(), means(logits, v), **ROUNDING)


@given(seeds, tokens, offsets)
def test_parts_of_wildly_different_magnitudes_add_up_to_the_whole(seed, n, offsets):
    parts = [
        (logits + offset, v)
        for offset, (logits, v) in zip(offsets, [logits_values(seed + i, n) for i in range(4)], strict=False)
    ]
    first, *rest = [sum_exponentials(*part) for part in parts]
    total = sum(rest, start=first)
    logits, v = (torch.cat(side, 2) for side in zip(*parts, strict=True))
    whole = sum_exponentials(logits, v)
    assert total.tokens == whole.tokens
    assert torch.equal(total.log_scale, whole.log_scale)
    torch.testing.assert_close(total.channel_means(), means(logits, v), **ROUNDING)
    for got, want in ((total.key_values, whole.key_values), (total.keys, whole.keys)):
        torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-12)


@given(seeds, tokens)
def test_parts_may_be_added_in_any_order_and_grouping(seed, n):
    a, b, c = (
        sum_exponentials(logits + offset, v) for offset, (logits, v) in ((s, logits_values(seed + s, n)) for s in (0, 5, 9))
    )
    for total in ((b + a) + c, a + (b + c), c + (b + a)):
        torch.testing.assert_close(total.channel_means(), (a + b + c).channel_means(), **ROUNDING)


def test_float32_holds_parts_whose_exponentials_it_cannot_hold():
    logits, v = logits_values(3, 40)
    logits = torch.cat([logits[:, :, :20] + 300, logits[:, :, 20:] - 300], 2)
    assert bool(logits.float().exp().isinf().any())
    halves = [sum_exponentials(logits[:, :, s].float(), v[:, :, s].float()) for s in (slice(0, 20), slice(20, 40))]
    got = (halves[0] + halves[1]).channel_means()
    exact = means(logits.float().double(), v.float().double())
    assert (got.double() - exact).abs().max() <= 1e-6 * v.abs().max()  # a few roundings of 6e-8


def test_the_largest_numbers_and_minus_infinity_give_no_nan():
    top = torch.finfo(torch.float32).max
    logits = (
        torch.tensor([[top, -top, -torch.inf, 0.0], [-top, -top, -torch.inf, -torch.inf]]).view(1, 1, 2, 4).requires_grad_()
    )
    v = torch.tensor([[1.0], [3.0]]).view(1, 1, 2, 1)
    one, other = (sum_exponentials(logits[:, :, i : i + 1], v[:, :, i : i + 1]) for i in range(2))
    for state in (sum_exponentials(logits, v), one + other, other + one):
        out = state.channel_means().flatten()
        assert out.tolist() == [1.0, 2.0, 0.0, 1.0]  # the larger alone; both alike; nothing to see; the finite one alone
        assert bool(state.log_scale.isfinite().all())
        (gradient,) = torch.autograd.grad(out.sum(), logits, retain_graph=True)
        assert bool(gradient.isfinite().all())


@given(seeds, st.integers(2, 23), st.data())
def test_a_logit_of_minus_infinity_is_a_token_that_is_not_there(seed, n, data):
    logits, v = logits_values(seed, n)
    gone = torch.tensor(data.draw(st.lists(st.booleans(), min_size=n, max_size=n).filter(lambda g: not all(g))))
    masked = sum_exponentials(logits.masked_fill(gone[:, None], -torch.inf), v)
    torch.testing.assert_close(masked.channel_means(), means(logits[:, :, ~gone], v[:, :, ~gone]), **ROUNDING)


@given(seeds, tokens)
def test_gradients_through_parts_are_those_of_softmax(seed, n):
    logits, v = (torch.cat([x, 1 + x.flip(2)], 2).requires_grad_() for x in logits_values(seed, n))
    towards = normal(seed + 2, 2, 2, 4, 3)
    total = sum_exponentials(logits[:, :, :n], v[:, :, :n]) + sum_exponentials(logits[:, :, n:], v[:, :, n:])
    got = torch.autograd.grad(total.channel_means(), (logits, v), towards)
    for fast, slow in zip(got, torch.autograd.grad(means(logits, v), (logits, v), towards), strict=True):
        torch.testing.assert_close(fast, slow, **ROUNDING)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_the_state_is_at_least_float32(dtype):
    state = sum_exponentials(*(x.to(dtype) for x in logits_values(0, 5)))
    wide = torch.promote_types(dtype, torch.float32)
    assert {state.log_scale.dtype, state.keys.dtype, state.key_values.dtype} == {wide}


@pytest.mark.parametrize("size", [(0, 2, 5, 4), (1, 2, 0, 4), (1, 2, 5, 0)])
def test_nothing_to_take_a_maximum_of_is_refused(size):
    with pytest.raises(ShapeError, match=r"wanted at least one picture, one token and one channel"):
        exp_below(torch.zeros(size), dim=-2)
