"""Blocks of any size over pictures and tokens give what one pass gives, outputs and gradients."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from linearsr.attention import chunked
from linearsr.attention.functional import apply_state, linear_attention, relu_linear_attention, sum_state
from linearsr.attention.reference import linear_attention_dense, relu_linear_attention_dense
from tests.strategies import normal, seeds

ROUNDING = 1e-11
"""Float64, of the largest value: sums of a few hundred terms in another order."""

sizes = st.integers(1, 3)
tokens = st.integers(1, 40)
widths = st.integers(1, 5)


@pytest.fixture(autouse=True)
def poisoned_memory(monkeypatch):
    """What is not written must not be read."""
    honest = torch.Tensor.new_empty
    monkeypatch.setattr(torch.Tensor, "new_empty", lambda self, *size, **kw: honest(self, *size, **kw).fill_(float("nan")))


def in_blocks(block_bytes, fewest, function):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunked, "BLOCK_BYTES", block_bytes)
        patch.setattr(chunked, "FEWEST_TOKENS", fewest)
        return function()


def outputs_and_gradients(function, inputs, towards):
    leaves = [x.detach().clone().requires_grad_() for x in inputs]
    out = function(*leaves)
    return [out.detach(), *torch.autograd.grad(out, leaves, towards)]


@pytest.mark.parametrize(
    ("fast", "slow", "features"),
    [(relu_linear_attention, relu_linear_attention_dense, lambda x: x), (linear_attention, linear_attention_dense, torch.abs)],
)
@given(
    seed=seeds, batch=sizes, heads=sizes, queries=tokens, keys=tokens, width=widths, value_width=widths,
    block_bytes=st.integers(1, 5000), fewest=st.integers(1, 9),
)  # fmt: skip
def test_blocks_change_neither_outputs_nor_gradients(
    fast, slow, features, seed, batch, heads, queries, keys, width, value_width, block_bytes, fewest
):
    q, k = features(normal(seed, batch, heads, queries, width)), features(normal(seed + 1, batch, heads, keys, width))
    v = normal(seed + 2, batch, heads, keys, value_width)
    towards = normal(seed + 3, batch, heads, queries, value_width)
    got = in_blocks(block_bytes, fewest, lambda: outputs_and_gradients(fast, (q, k, v), towards))
    want = outputs_and_gradients(slow, (q, k, v), towards)
    for name, one, other in zip(("o", "dq", "dk", "dv"), got, want, strict=True):
        assert (one - other).abs().max() <= ROUNDING * max(other.abs().max(), 1), name


@given(seed=seeds, batch=sizes, queries=tokens, keys=tokens, width=widths, block_bytes=st.integers(1, 5000))
def test_a_state_summed_and_read_in_blocks_is_that_of_one_pass(seed, batch, queries, keys, width, block_bytes):
    q, k, v = (normal(seed + i, batch, 2, n, width).abs() for i, n in enumerate((queries, keys, keys)))
    got = in_blocks(block_bytes, 1, lambda: apply_state(q, sum_state(k, v)))
    recorded = apply_state(q.clone().requires_grad_(), sum_state(k.clone().requires_grad_(), v))  # one pass, with gradients
    assert recorded.requires_grad
    torch.testing.assert_close(got, recorded.detach(), rtol=0, atol=1e-12)  # means of values of unit size


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_short_types_are_widened_block_by_block(dtype):
    q, k, v, towards = (normal(i, 2, 3, 33, 8).to(dtype) for i in range(4))
    got = in_blocks(2000, 4, lambda: outputs_and_gradients(relu_linear_attention, (q, k, v), towards))
    want = outputs_and_gradients(relu_linear_attention_dense, [x.double() for x in (q, k, v)], towards.double())
    bound = 8 * torch.finfo(dtype).eps  # gradients are rounded once on writing, after float32 sums
    for name, one, other in zip(("o", "dq", "dk", "dv"), got, want, strict=True):
        assert one.dtype == dtype
        assert (one.double() - other).abs().max() <= bound * other.abs().max(), name


def test_a_block_is_a_few_tokens_of_one_picture_or_many_small_pictures():
    def shape(*size):
        x = torch.empty(size, device="meta")
        return chunked._block_shape(x, x)

    assert shape(4, 36, 16384, 32) == (1, 224)  # 2 MiB at 9,360 bytes a token
    assert shape(64, 2, 1024, 32) == (3, 1024)
    assert shape(2, 512, 4096, 128) == (1, chunked.FEWEST_TOKENS)


def test_what_is_kept_for_the_way_back_is_the_inputs_and_the_state():
    q, k, v = (normal(i, 1, 2, 4096, 8, dtype=torch.float32).requires_grad_() for i in range(3))
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x) or x, lambda x: x):
        relu_linear_attention(q, k, v)
    assert [x.data_ptr() for x in kept[:3]] == [x.data_ptr() for x in (q, k, v)]
    assert [x.shape for x in kept[3:]] == [(1, 2, 8, 9)]


@pytest.mark.parametrize("end", [torch.sum, lambda x: x.square().sum()])
@pytest.mark.parametrize("leaf", [0, 1, 2])
def test_second_derivatives_are_those_of_the_dense_form(end, leaf):
    def curvature(function):
        inputs = [normal(i, 1, 2, 5, 3).requires_grad_() for i in range(3)]
        (slope,) = torch.autograd.grad(end(function(*inputs)), inputs[leaf], create_graph=True)
        return torch.autograd.grad((slope * normal(9, *slope.shape)).sum(), inputs, allow_unused=True, materialize_grads=True)

    for got, want in zip(curvature(relu_linear_attention), curvature(relu_linear_attention_dense), strict=True):
        torch.testing.assert_close(got, want, rtol=0, atol=1e-9 * float(want.abs().max()) + 1e-15)  # of the largest


def test_functional_transforms_see_plain_operations():
    q, k, v = (normal(i, 3, 1, 2, 5, 4) for i in range(3))
    each = torch.stack([relu_linear_attention(*one) for one in zip(q, k, v, strict=True)])
    torch.testing.assert_close(torch.vmap(relu_linear_attention)(q, k, v), each)
    torch.testing.assert_close(torch.vmap(lambda q, k, v: apply_state(q.relu(), sum_state(k.relu(), v)))(q, k, v), each)
    slope = torch.func.grad(lambda q: relu_linear_attention(q, k[0], v[0]).sum())(q[0])
    leaf = q[0].clone().requires_grad_()
    (want,) = torch.autograd.grad(relu_linear_attention(leaf, k[0], v[0]).sum(), leaf)
    torch.testing.assert_close(slope, want)
