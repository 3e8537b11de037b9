"""The laws of ReLU linear attention, on the kernels alone: outputs and gradients, every type, rows without a positive entry."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from linearsr.attention.functional import EPS, apply_state, relu_linear_attention, sum_state
from linearsr.attention.reference import relu_linear_attention_dense, softmax_attention_dense
from linearsr.core.errors import ShapeError
from tests.strategies import normal, seeds

ROUNDING = {"rtol": 0, "atol": 1e-12}
"""Float64: outputs are means of values of unit size, a few hundred roundings of 1e-16 with a margin."""

tokens = st.integers(1, 23)
widths = st.integers(1, 5)  # narrow enough that 2^−D of the rows are dead
scales = st.floats(2**-6, 2**6)


def qkv(seed, queries, keys, width, value_width=3, dtype=torch.float64):
    """q [2, 2, queries, width], k [2, 2, keys, width], v [2, 2, keys, value_width]."""
    sizes = ((queries, width), (keys, width), (keys, value_width))
    return [normal(seed + i, 2, 2, *size, dtype=dtype) for i, size in enumerate(sizes)]


def alive(q, k):
    """[B, H, Nq, 1]: the query meets at least one key."""
    return ((q.relu() @ k.relu().transpose(-1, -2)).sum(-1, keepdim=True)) > 0


def share_of_eps(q, k):
    """The largest share that eps has in a denominator: a law that changes denominators holds up to this."""
    denominator = (q.relu() @ k.relu().transpose(-1, -2)).mean(-1)
    return (EPS / denominator[denominator > 0]).max().item() if bool((denominator > 0).any()) else 0.0


def gradients(function, q, k, v, towards):
    leaves = [x.clone().requires_grad_() for x in (q, k, v)]
    return torch.autograd.grad(function(*leaves), leaves, towards)


@given(seeds, tokens, tokens, widths)
def test_output_is_that_of_the_dense_form(seed, queries, keys, width):
    q, k, v = qkv(seed, queries, keys, width)
    torch.testing.assert_close(relu_linear_attention(q, k, v), relu_linear_attention_dense(q, k, v), **ROUNDING)


@given(seeds, tokens, tokens, widths)
def test_gradients_are_those_of_the_dense_form(seed, queries, keys, width):
    q, k, v = qkv(seed, queries, keys, width)
    towards = normal(seed + 9, 2, 2, queries, 3)
    fast = gradients(relu_linear_attention, q, k, v, towards)
    slow = gradients(relu_linear_attention_dense, q, k, v, towards)
    for name, got, want in zip(("dq", "dk", "dv"), fast, slow, strict=True):
        # a query that hardly meets a key has a large gradient, so rounding is relative to the largest
        assert (got - want).abs().max() <= 1e-10 * max(want.abs().max(), 1), name


@pytest.mark.parametrize("width", [1, 4, 32])
def test_gradients_are_those_of_finite_differences(width):
    q, k, v = [x.requires_grad_() for x in qkv(3, 5, 4, width)]
    assert torch.autograd.gradcheck(relu_linear_attention, (q, k, v))


def test_a_case_worked_by_hand():
    q = torch.tensor([[1.0, -3.0], [2.0, 1.0], [-1.0, 0.0]]).view(1, 1, 3, 2)
    k = torch.tensor([[1.0, 0.0], [3.0, 1.0]]).view(1, 1, 2, 2)
    v = torch.tensor([[4.0], [8.0]]).view(1, 1, 2, 1)
    # weights of the two keys: 1 and 3; 2 and 7; none
    want = torch.tensor([(4 + 3 * 8) / 4, (2 * 4 + 7 * 8) / 9, 0.0]).view(1, 1, 3, 1)
    torch.testing.assert_close(relu_linear_attention(q, k, v), want, rtol=1e-6, atol=0)  # float32


@given(seeds, tokens, widths)
def test_moved_tokens_give_moved_outputs(seed, n, width):
    q, k, v = qkv(seed, n, n, width)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    moved = relu_linear_attention(q[:, :, order], k[:, :, order], v[:, :, order])
    torch.testing.assert_close(moved, relu_linear_attention(q, k, v)[:, :, order], **ROUNDING)


@given(seeds, tokens, tokens, widths)
def test_the_order_of_keys_with_their_values_does_not_matter(seed, queries, keys, width):
    q, k, v = qkv(seed, queries, keys, width)
    order = torch.randperm(keys, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(
        relu_linear_attention(q, k[:, :, order], v[:, :, order]), relu_linear_attention(q, k, v), **ROUNDING
    )


@given(seeds, tokens, tokens, widths, st.integers(2, 4))
def test_all_keys_and_values_given_several_times_change_nothing(seed, queries, keys, width, times):
    q, k, v = qkv(seed, queries, keys, width)
    often = relu_linear_attention(q, k.repeat(1, 1, times, 1), v.repeat(1, 1, times, 1))
    torch.testing.assert_close(often, relu_linear_attention(q, k, v), **ROUNDING)


@given(seeds, tokens, tokens, widths, scales, scales)
def test_the_lengths_of_queries_and_keys_do_not_matter(seed, queries, keys, width, a, b):
    q, k, v = qkv(seed, queries, keys, width)
    slack = max(share_of_eps(q, k), share_of_eps(a * q, b * k)) * v.abs().max().item()
    scaled = relu_linear_attention(a * q, b * k, v)
    torch.testing.assert_close(scaled, relu_linear_attention(q, k, v), rtol=0, atol=1e-12 + slack)


@given(seeds, tokens, tokens, widths)
def test_an_affine_map_of_values_is_that_map_of_outputs(seed, queries, keys, width):
    q, k, v = qkv(seed, queries, keys, width)
    matrix, shift = normal(seed + 5, 3, 3), normal(seed + 6, 3)
    live = alive(q, k)  # the weights of a dead row do not sum to 1: it stays 0
    mapped = relu_linear_attention(q, k, v @ matrix + shift)
    want = torch.where(live, relu_linear_attention(q, k, v) @ matrix + shift, 0)
    torch.testing.assert_close(mapped, want, rtol=0, atol=1e-11)  # ROUNDING times the matrix


@given(seeds, tokens, tokens, widths)
def test_an_output_lies_between_the_smallest_and_the_largest_value(seed, queries, keys, width):
    q, k, v = qkv(seed, queries, keys, width)
    out, live = relu_linear_attention(q, k, v), alive(q, k)
    low, high = v.amin(2, keepdim=True) - 1e-12, v.amax(2, keepdim=True) + 1e-12
    assert bool((((out >= low) & (out <= high)) | ~live).all())


@given(seeds, tokens, st.integers(2, 23), widths, st.data())
def test_a_key_without_a_positive_entry_is_a_key_that_is_not_there(seed, queries, keys, width, data):
    q, k, v = qkv(seed, queries, keys, width)
    gone = data.draw(st.lists(st.booleans(), min_size=keys, max_size=keys).filter(lambda g: not all(g)))
    gone = torch.tensor(gone)
    negative = torch.where(gone[:, None], -k.abs(), k)
    slack = max(share_of_eps(q, negative), share_of_eps(q, k[:, :, ~gone])) * v.abs().max().item()
    removed = relu_linear_attention(q, k[:, :, ~gone], v[:, :, ~gone])
    torch.testing.assert_close(relu_linear_attention(q, negative, v), removed, rtol=0, atol=1e-12 + slack)


@given(seeds, tokens, widths)
def test_each_picture_and_each_head_stands_alone(seed, n, width):
    q, k, v = qkv(seed, n, n, width)
    together = relu_linear_attention(q, k, v)
    for picture in range(2):
        for head in range(2):
            one = (slice(picture, picture + 1), slice(head, head + 1))
            torch.testing.assert_close(relu_linear_attention(q[one], k[one], v[one]), together[one], **ROUNDING)


@given(seeds, st.integers(2, 23), widths, st.data())
def test_the_sum_of_the_states_of_parts_is_the_state_of_the_whole(seed, n, width, data):
    q, k, v = qkv(seed, n, n, width)
    cuts = sorted(data.draw(st.sets(st.integers(1, n - 1), max_size=3)))
    parts = [sum_state(*pair) for pair in zip(k.relu().tensor_split(cuts, 2), v.tensor_split(cuts, 2), strict=True)]
    total = sum(parts[1:], start=parts[0])
    assert total.tokens == n
    torch.testing.assert_close(apply_state(q.relu(), total), relu_linear_attention(q, k, v), **ROUNDING)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_a_query_without_a_positive_entry_gives_exactly_0_and_gets_no_gradient(dtype):
    q, k, v = qkv(0, 6, 5, 4, dtype=dtype)
    q[:, :, 1] = 0
    q[:, :, 3] = -q[:, :, 3].abs()
    out = relu_linear_attention(q, k, v)
    assert not out[:, :, [1, 3]].any()
    assert bool(out[:, :, [0, 2]].any())
    dq, dk, dv = gradients(relu_linear_attention, q, k, v, torch.ones_like(out))
    assert not dq[:, :, [1, 3]].any()
    assert all(bool(gradient.isfinite().all()) and bool(gradient.any()) for gradient in (dq, dk, dv))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_keys_without_a_positive_entry_give_exactly_0_with_finite_gradients(dtype):
    q, k, v = qkv(0, 6, 5, 4, dtype=dtype)
    k = -k.abs()
    assert not relu_linear_attention(q, k, v).any()
    assert all(
        bool(gradient.isfinite().all()) for gradient in gradients(relu_linear_attention, q, k, v, torch.ones_like(q[..., :3]))
    )


# No weight is negative, so nothing cancels: every error is a few roundings of the largest value.
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.bfloat16, 4 * 2.0**-8), (torch.float16, 4 * 2.0**-11)]
)
@given(seed=seeds, n=st.integers(1, 700), width=st.sampled_from([1, 4, 32]))
def test_short_types_err_by_a_few_of_their_roundings(dtype, tolerance, seed, n, width):
    q, k, v = qkv(seed, 7, n, width)
    got = relu_linear_attention(q.to(dtype), k.to(dtype), v.to(dtype))
    assert got.dtype == dtype
    assert (got.double() - relu_linear_attention(q, k, v)).abs().max() <= tolerance * v.abs().max()


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.05)])
def test_gradients_in_short_types_err_by_a_few_of_their_roundings(dtype, tolerance):
    q, k, v = [x.to(dtype) for x in qkv(2, 40, 50, 32)]
    towards = normal(9, 2, 2, 40, 3)
    got = gradients(relu_linear_attention, q, k, v, towards.to(dtype))
    want = gradients(relu_linear_attention, q.double(), k.double(), v.double(), towards)
    for name, short, exact in zip(("dq", "dk", "dv"), got, want, strict=True):
        assert short.dtype == dtype
        assert (short.double() - exact).abs().max() <= tolerance * exact.abs().max(), name


def test_float16_does_not_overflow_on_16384_tokens_of_unit_variance():
    q, k, v = (normal(i, 1, 1, 16384, 32).half() for i in range(3))
    unnormalised = q[:, :, :4].relu().double() @ (k.relu().double().transpose(-1, -2) @ v.double().abs())
    assert unnormalised.max() > torch.finfo(torch.float16).max  # what a float16 sum would have to hold
    out = relu_linear_attention(q, k, v)
    exact = relu_linear_attention(q.double(), k.double(), v.double())
    assert (out.double() - exact).abs().max() <= 4 * 2.0**-11 * v.double().abs().max()
    assert all(bool(g.isfinite().all()) for g in gradients(relu_linear_attention, q, k, v, torch.ones_like(out)))


def test_autocast_does_not_reach_the_sums():
    q, k, v = qkv(4, 600, 600, 8, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        inside = relu_linear_attention(q, k, v)
        dense = relu_linear_attention_dense(q, k, v)
        softmax = softmax_attention_dense(q, k, v)
    assert torch.equal(inside, relu_linear_attention(q, k, v))
    assert torch.equal(dense, relu_linear_attention_dense(q, k, v))
    assert torch.equal(softmax, softmax_attention_dense(q, k, v))


def test_the_state_is_at_least_float32_and_float64_where_an_input_is():
    _, k, v = qkv(0, 5, 5, 4)
    for key_type, value_type, wide in (
        (torch.bfloat16, torch.bfloat16, torch.float32),
        (torch.float16, torch.float32, torch.float32),
        (torch.float32, torch.float64, torch.float64),
    ):
        state = sum_state(k.to(key_type), v.to(value_type))
        assert state.key_values.dtype == state.keys.dtype == wide


def test_views_of_any_strides_give_the_same():
    q, k, v = qkv(5, 9, 9, 4)
    turned = [x.transpose(1, 2).contiguous().transpose(1, 2) for x in (q, k, v)]
    assert not turned[0].is_contiguous()
    torch.testing.assert_close(relu_linear_attention(*turned), relu_linear_attention(q, k, v), **ROUNDING)


def test_the_output_joins_its_heads_without_a_copy():
    q, k, v = qkv(5, 7, 3, 4)
    assert relu_linear_attention(q, k, v).transpose(1, 2).is_contiguous()


@pytest.mark.parametrize(
    ("q", "k", "v"),
    [((1, 2, 5, 4), (1, 2, 5, 3), (1, 2, 5, 4)), ((1, 2, 5, 4), (1, 2, 6, 4), (1, 2, 5, 4)), ((5, 4), (5, 4), (5, 4))],
)
def test_tensors_that_do_not_fit_together_are_refused(q, k, v):
    with pytest.raises(ShapeError, match=r"wanted \[B, H, N, D\] twice"):
        relu_linear_attention(torch.zeros(q), torch.zeros(k), torch.zeros(v))


@pytest.mark.parametrize("size", [(2, 2, 5, 4), (1, 3, 5, 4), (1, 2, 5, 3), (2, 5, 4)])
def test_a_state_of_other_pictures_heads_or_features_is_refused(size):
    state = sum_state(torch.ones(1, 2, 5, 4), torch.ones(1, 2, 5, 4))
    with pytest.raises(ShapeError, match=r"wanted \[B, H, N, D\] and \[B, H, D, 1\]"):
        apply_state(torch.ones(size), state)


def test_states_of_different_kinds_do_not_add():
    state = sum_state(torch.ones(1, 2, 5, 4), torch.ones(1, 2, 5, 4))
    with pytest.raises(TypeError, match="unsupported operand"):
        state + 1


def test_no_tokens_are_refused():
    with pytest.raises(ShapeError, match="at least one token"):
        sum_state(torch.zeros(1, 1, 0, 4), torch.zeros(1, 1, 0, 4))


@given(seeds, tokens, widths)
def test_softmax_dense_is_torchs_own(seed, n, width):
    q, k, v = qkv(seed, n, n, width)
    own = torch.nn.functional.scaled_dot_product_attention(q, k, v)
    torch.testing.assert_close(softmax_attention_dense(q, k, v), own, **ROUNDING)
