"""The Triton kernels of linear attention keep its laws: in Triton's interpreter here, on a card under the gpu marker."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

triton = pytest.importorskip("triton")

from linearsr.attention import triton_linear, triton_linear_backward, triton_linear_forward  # noqa: E402
from linearsr.attention.functional import EPS  # noqa: E402
from linearsr.attention.reference import linear_attention_dense, relu_linear_attention_dense  # noqa: E402
from linearsr.attention.triton_linear import (  # noqa: E402
    LEAST_TILES,
    MOST_SPLITS,
    Tiling,
    linear_attention_backward,
    linear_attention_forward,
    splits,
    supports,
    triton_linear_attention,
)
from linearsr.core.errors import ShapeError  # noqa: E402
from tests.compiled import POINTERS, compile_for, variants  # noqa: E402
from tests.interpreted import interpreted  # noqa: E402
from tests.strategies import normal  # noqa: E402

ERRORS = {torch.float32: 1e-6, torch.bfloat16: 4 * 2.0**-8, torch.float16: 4 * 2.0**-11}
"""Of the largest value: no weight is negative, so nothing cancels and a few roundings of the output's type are the bound."""
GRADIENT_ERRORS = {torch.float32: 1e-5, torch.bfloat16: 2 * 2.0**-8, torch.float16: 2 * 2.0**-11}
"""Of the largest gradient: a rounding to the type; in float32 differences of numbers ten times as large."""
dtypes = pytest.mark.parametrize("dtype", list(ERRORS), ids=str)


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request):
    if request.param == "cuda":
        yield "cuda"
        return
    with interpreted(triton_linear, triton_linear_forward, triton_linear_backward):
        yield "cpu"


@pytest.fixture(autouse=True)
def three_programs(monkeypatch):
    """So few processors that a few hundred tokens are split as thousands would be on a card."""
    monkeypatch.setattr(triton_linear, "processors", lambda device: 3)


def fused(seed, m, n, d, e, dtype, device):
    """Thirds of one product [B, N, 3·H·D], as a layer makes them; of several where their sizes differ."""
    if m == n and d == e:
        qkv = normal(seed, 2, n, 3, 2, d, dtype=dtype).to(device)
        return [qkv[:, :, i].transpose(1, 2) for i in range(3)]
    return [x.transpose(1, 2).contiguous().transpose(1, 2) for x in contiguous(seed, m, n, d, e, dtype, device)]


def contiguous(seed, m, n, d, e, dtype, device):
    sizes = ((m, d), (n, d), (n, e))
    return [normal(seed + i, 2, 2, *size, dtype=dtype).to(device) for i, size in enumerate(sizes)]


def channel_major(*arguments):
    return [x.mT.contiguous().mT for x in contiguous(*arguments)]


def one_head_for_all(*arguments):
    """A stride of 0."""
    return [x[:1, :1].expand_as(x) for x in contiguous(*arguments)]


def attend(q, k, v, rectify=True):
    return triton_linear_attention(q, k, v, eps=EPS, rectify=rectify)


def gradients(function, q, k, v, towards):
    leaves = [x.detach().requires_grad_() for x in (q, k, v)]
    return torch.autograd.grad(function(*leaves), leaves, towards)


def exact(q, k, v, towards=None):
    """In float64, on the same rounded inputs."""
    wide = [x.double() for x in (q, k, v)]
    if towards is None:
        return relu_linear_attention_dense(*wide)
    return gradients(relu_linear_attention_dense, *wide, towards.double())


def largest_error(got, want):
    return (got.double() - want).abs().max().item()


def check(q, k, v):
    """Output and gradients against the dense form in float64."""
    dtype = v.dtype
    out = attend(q, k, v)
    assert out.dtype == dtype
    assert largest_error(out, exact(q, k, v)) <= ERRORS[dtype] * v.abs().max()
    towards = normal(9, *out.shape, dtype=dtype).to(v.device)
    for name, got, want in zip(("dq", "dk", "dv"), gradients(attend, q, k, v, towards), exact(q, k, v, towards), strict=True):
        assert got.dtype == dtype
        # gradients reach hundreds where queries hardly meet a key; with one key those of weights cancel wholly: hence the 1
        assert largest_error(got, want) <= GRADIENT_ERRORS[dtype] * max(want.abs().max().item(), 1), name


@dtypes
@pytest.mark.parametrize(("m", "n", "d", "e"), [(1, 1, 4, 3), (63, 63, 8, 8), (5, 130, 1, 17), (200, 7, 33, 16)])
def test_output_and_gradients_are_those_of_the_dense_form(device, dtype, m, n, d, e):
    check(*fused(0, m, n, d, e, dtype, device))


@pytest.mark.parametrize("layout", [contiguous, channel_major, one_head_for_all], ids=lambda f: f.__name__)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_inputs_may_have_any_strides(device, layout, dtype):
    check(*layout(0, 70, 70, 12, 20, dtype, device))


@dtypes
def test_a_thousand_tokens_of_the_width_that_models_have(device, dtype):
    qkv = normal(1, 1, 1000, 3, 1, 32, dtype=dtype).to(device)
    check(*[qkv[:, :, i].transpose(1, 2) for i in range(3)])


@dtypes
def test_features_that_are_computed_already_are_taken_as_they_are(device, dtype):
    q, k, v = contiguous(1, 20, 70, 6, 5, dtype, device)
    q, k = q.exp(), k.square()
    towards = normal(9, 2, 2, 20, 5, dtype=dtype).to(device)
    wide = [x.double() for x in (q, k, v)]
    out = attend(q, k, v, rectify=False)
    assert largest_error(out, linear_attention_dense(*wide)) <= ERRORS[dtype] * v.abs().max()
    want = gradients(linear_attention_dense, *wide, towards.double())
    for got, gradient in zip(gradients(lambda *x: attend(*x, rectify=False), q, k, v, towards), want, strict=True):
        assert largest_error(got, gradient) <= GRADIENT_ERRORS[dtype] * gradient.abs().max()


@dtypes
def test_a_query_without_a_positive_entry_gives_exactly_0_and_gets_no_gradient(device, dtype):
    q, k, v = contiguous(0, 6, 5, 4, 3, dtype, device)
    q[:, :, 1] = 0
    q[:, :, 3] = -q[:, :, 3].abs()
    out = attend(q, k, v)
    assert not out[:, :, [1, 3]].any()
    assert bool(out[:, :, [0, 2]].any())
    dq, dk, dv = gradients(attend, q, k, v, torch.ones_like(out))
    assert not dq[:, :, [1, 3]].any()
    assert all(bool(gradient.isfinite().all()) and bool(gradient.any()) for gradient in (dq, dk, dv))


@dtypes
def test_keys_without_a_positive_entry_give_exactly_0_and_no_gradient(device, dtype):
    q, k, v = contiguous(0, 6, 5, 4, 3, dtype, device)
    k = -k.abs()
    out = attend(q, k, v)
    assert not out.any()
    assert not any(gradient.any() for gradient in gradients(attend, q, k, v, torch.ones_like(out)))


@dtypes
def test_a_mean_that_all_values_share_costs_the_gradients_nothing(device, dtype):
    """dnum Sᵀ and dden nᵀ are then a hundred times their sum; an output rounded to 16 bits in between would be all noise."""
    q, k, v = contiguous(2, 40, 50, 32, 32, dtype, device)
    v = v + 100
    towards = normal(9, *v[:, :, :40].shape, dtype=dtype).to(device)
    for got, want in zip(gradients(attend, q, k, v, towards), exact(q, k, v, towards), strict=True):
        # a hundred times what a state loses where it is multiplied (2⁻¹⁷; in float32 some roundings), and a margin of 4
        lost = 2.0**-21 if dtype == torch.float32 else 2.0**-17
        assert largest_error(got, want) <= max(GRADIENT_ERRORS[dtype], 4 * 100 * lost) * want.abs().max()


@pytest.mark.parametrize("eps", [0.0, 1e-39])
def test_gradients_need_no_eps_where_every_sum_is_positive(device, eps):
    """The rows that pad the last tile have no sum, and 1/eps is infinite."""
    q, k, v = contiguous(1, 70, 37, 4, 4, torch.float32, device)
    q, k = q.abs() + 0.1, k.abs() + 0.1
    towards = normal(9, 2, 2, 70, 4, dtype=torch.float32).to(device)
    got = gradients(lambda *leaves: triton_linear_attention(*leaves, eps=eps, rectify=True), q, k, v, towards)
    for name, gradient, want in zip(("dq", "dk", "dv"), got, exact(q, k, v, towards), strict=True):
        assert largest_error(gradient, want) <= GRADIENT_ERRORS[torch.float32] * want.abs().max(), name


def test_a_nan_is_not_hidden(device):
    q, k, v = contiguous(0, 6, 5, 4, 3, torch.float32, device)
    q[0, 0, 2, 1] = torch.nan
    bad = attend(q, k, v).isnan()
    assert bool(bad[0, 0, 2].all())
    assert bad.sum() == 3


def test_the_same_call_gives_the_same_bits_whatever_was_in_memory(device, monkeypatch):
    q, k, v = fused(3, 100, 100, 16, 16, torch.bfloat16, device)
    towards = normal(9, 2, 2, 100, 16, dtype=torch.bfloat16).to(device)
    empty, results = torch.empty, []
    for filling in (torch.nan, 1e30):
        poisoned = lambda *size, filling=filling, **options: empty(*size, **options).fill_(filling)  # noqa: E731
        monkeypatch.setattr(torch, "empty", poisoned)
        results.append((attend(q, k, v), *gradients(attend, q, k, v, towards)))
    for name, once, again in zip(("o", "dq", "dk", "dv"), *results, strict=True):
        assert bool(once.isfinite().all()), name
        assert torch.equal(once, again), name


def test_another_number_of_processors_only_rounds_differently(device, monkeypatch):
    q, k, v = fused(4, 200, 200, 8, 8, torch.float32, device)
    outputs = []
    for count in (1, 132):
        monkeypatch.setattr(triton_linear, "processors", lambda device, count=count: count)
        outputs.append(attend(q, k, v))
        assert largest_error(outputs[-1], exact(q, k, v)) <= ERRORS[torch.float32] * v.abs().max()
    assert not torch.equal(*outputs)


def test_normed_queries_and_keys_of_autocast_meet_bfloat16_values(device):
    q, k, v = contiguous(5, 20, 30, 8, 8, torch.float32, device)
    v = v.bfloat16()
    towards = normal(9, 2, 2, 20, 8, dtype=torch.bfloat16).to(device)
    out, grads = attend(q, k, v), gradients(attend, q, k, v, towards)
    assert [x.dtype for x in (out, *grads)] == [torch.bfloat16, torch.float32, torch.float32, torch.bfloat16]
    assert largest_error(out, exact(q, k, v)) <= ERRORS[torch.bfloat16] * v.abs().max()
    for got, want in zip(grads, exact(q, k, v, towards), strict=True):
        assert largest_error(got, want) <= GRADIENT_ERRORS[got.dtype] * want.abs().max()


def test_heads_join_without_a_copy_outputs_and_gradients(device):
    q, k, v = fused(6, 9, 9, 4, 4, torch.float32, device)
    out = attend(q, k, v)
    assert out.transpose(1, 2).is_contiguous()
    for gradient in linear_attention_backward(q, k, v, torch.zeros(4, 5, 4, device=device), out.transpose(1, 2), EPS, True):
        assert gradient.is_contiguous()


def test_the_operators_are_what_torch_asks_of_operators(device):
    """Schema, shapes and strides without data, and their gradient in traced code."""
    q, k, v = [x.requires_grad_() for x in contiguous(7, 3, 4, 4, 5, torch.float32, device)]
    torch.library.opcheck(linear_attention_forward, (q, k, v, EPS, True))
    grad, state = normal(1, 2, 3, 2, 5, dtype=torch.float32).to(device), torch.ones(4, 6, 4, device=device)
    torch.library.opcheck(linear_attention_backward, (q.detach(), k.detach(), v.detach(), state, grad, EPS, True))


def test_compiled_code_calls_them_without_a_break(device):
    q, k, v = fused(8, 70, 70, 4, 4, torch.float32, device)
    towards = normal(9, 2, 2, 70, 4, dtype=torch.float32).to(device)

    def layer(q, k, v):
        return 2 * attend(q + 1, k, v) if supports(q, k, v) else q

    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(q, k, v), layer(q, k, v))
    for got, want in zip(gradients(compiled, q, k, v, towards), gradients(layer, q, k, v, towards), strict=True):
        assert torch.equal(got, want)


@given(st.integers(1, 10**6), st.integers(1, 600), st.sampled_from([16, 32, 64]), st.integers(1, 200))
def test_splits_cover_all_tokens_in_whole_tiles_and_none_is_empty(tokens, heads, block, processors):
    count, each = splits(tokens, heads, block, processors)
    assert (count - 1) * each < tokens <= count * each
    assert each % block == 0
    assert count <= MOST_SPLITS
    assert count == 1 or each >= LEAST_TILES * block


def test_what_the_kernels_do_not_take_is_refused_and_can_be_asked_for():
    def say(shape=(1, 1, 2, 4), dtype=torch.float32):
        return supports(*[torch.zeros(shape, dtype=dtype)] * 3)

    assert say()
    assert say((1, 1, 2, 64))
    assert not say((1, 1, 2, 65))
    assert not say((1, 1, 0, 4))
    assert not say((1, 2, 4))
    assert not say(dtype=torch.float64)
    q, k = torch.zeros(1, 1, 2, 4), torch.zeros(1, 1, 3, 4)
    assert supports(q, k, k)
    assert not supports(q, q, k)
    assert not supports(q, k[..., :3], k)
    assert not supports(q, k.expand(2, -1, -1, -1), k.expand(2, -1, -1, -1))
    with pytest.raises(ShapeError, match="in float32, float16 and bfloat16, D and E up to 64"):
        attend(*[torch.zeros(1, 1, 2, 4, dtype=torch.float64)] * 3)


QUICK = {(80, torch.float32, 64), (90, torch.bfloat16, 32), (120, torch.bfloat16, 64)}
"""Each card's kind of products once, and both widths; half a second to two for each kernel."""


@pytest.mark.parametrize("kernel", ["state", "apply", "query_grads", "key_grads"])
@pytest.mark.parametrize(
    ("card", "dtype", "width"), variants(QUICK, (torch.bfloat16, 32), (torch.bfloat16, 64), (torch.float32, 64))
)
def test_kernels_compile_for_every_card(kernel, card, dtype, width, monkeypatch, tmp_path):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    function = getattr(triton_linear, f"{kernel}_kernel")
    tiling = Tiling.of(width, width, dtype)
    types = dict.fromkeys(("q", "k", "v", "o", "do", "dq", "dk", "dv"), POINTERS[dtype])
    types |= {"partials": "*fp32", "state": "*fp32", "share": "fp32", "eps": "fp32"}
    options = tiling.options(width, width, dtype, True) | {"TOGETHER": tiling.together}
    assert compile_for(card, function, types, options).asm["cubin"]
