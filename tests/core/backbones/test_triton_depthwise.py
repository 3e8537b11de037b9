"""The Triton kernels of the Mix-FFN's middle against torch's convolution: in Triton's interpreter here, on a card under gpu."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

triton = pytest.importorskip("triton")

from linearsr.core.backbones import triton_depthwise, triton_depthwise_kernels  # noqa: E402
from linearsr.core.backbones.triton_depthwise import (  # noqa: E402
    gated_depthwise,
    gated_depthwise_backward,
    gated_depthwise_forward,
    strips,
    supports,
)
from linearsr.core.errors import ShapeError  # noqa: E402
from tests.compiled import POINTERS, compile_for, variants  # noqa: E402
from tests.interpreted import interpreted  # noqa: E402
from tests.strategies import normal  # noqa: E402

ERRORS = {torch.float32: 2e-6, torch.bfloat16: 4 * 2.0**-8, torch.float16: 4 * 2.0**-11}
"""Of the largest: a few roundings to the type, du and dg among them; in float32 of sums of nine numbers that may cancel."""
dtypes = pytest.mark.parametrize("dtype", list(ERRORS), ids=str)
both = pytest.mark.parametrize("activate", [False, True])


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request):
    if request.param == "cuda":
        yield "cuda"
        return
    with interpreted(triton_depthwise, triton_depthwise_kernels):
        yield "cpu"


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch):
    """So that a few pixels and channels are several tiles, and a few rows several strips."""
    monkeypatch.setattr(triton_depthwise, "PIXELS", 4)
    monkeypatch.setattr(triton_depthwise, "CHANNELS", 32)
    monkeypatch.setattr(triton_depthwise, "LEAST_ROWS", 3)
    monkeypatch.setattr(triton_depthwise, "processors", lambda device: 3)


def inputs(seed, b, height, width, hidden, dtype, device):
    sizes = ((b, height, width, 2 * hidden), (2 * hidden, 1, 3, 3), (2 * hidden,))
    return [normal(seed + i, *size, dtype=dtype).to(device) for i, size in enumerate(sizes)]


def by_torch(x, weight, bias, *, activate):
    picture = (F.silu(x) if activate else x).movedim(3, 1)
    value, gate = F.conv2d(picture, weight, bias, padding=1, groups=len(weight)).movedim(1, 3).chunk(2, -1)
    return value * F.silu(gate)


def gradients(function, tensors, towards, **options):
    leaves = [x.detach().requires_grad_() for x in tensors]
    return torch.autograd.grad(function(*leaves, **options), leaves, towards)


def largest_error(got, want):
    return (got.double() - want).abs().max().item()


def check(x, weight, bias, activate):
    """Output and gradients against torch's in float64, on the same rounded inputs."""
    wide = [tensor.double() for tensor in (x, weight, bias)]
    out, want = gated_depthwise(x, weight, bias, activate=activate), by_torch(*wide, activate=activate)
    assert (out.dtype, out.shape) == (x.dtype, want.shape)
    assert largest_error(out, want) <= ERRORS[x.dtype] * want.abs().max()
    towards = normal(9, *out.shape, dtype=x.dtype).to(x.device)
    grads = gradients(gated_depthwise, (x, weight, bias), towards, activate=activate)
    wanted = gradients(by_torch, wide, towards.double(), activate=activate)
    for name, tensor, got, gradient in zip(("dx", "dweight", "dbias"), (x, weight, bias), grads, wanted, strict=True):
        assert got.dtype == tensor.dtype, name
        assert largest_error(got, gradient) <= ERRORS[x.dtype] * gradient.abs().max(), name


@both
@dtypes
@pytest.mark.parametrize(("height", "width", "hidden"), [(1, 1, 5), (1, 7, 3), (5, 3, 35)])
def test_output_and_gradients_are_those_of_torch(device, activate, dtype, height, width, hidden):
    check(*inputs(0, 1 if height > 1 else 2, height, width, hidden, dtype, device), activate)


def test_strips_of_rows_join_without_a_seam(device):
    x, weight, bias = inputs(1, 1, 11, 2, 3, torch.float32, device)
    assert strips(1, 11, 2, 3, 3)[2:] == (4, 3)
    check(x, weight, bias, False)


@pytest.mark.parametrize("order", [(0, 3, 1, 2), (0, 2, 1, 3)], ids=["channels first", "columns first"])
def test_inputs_may_have_any_strides(device, order):
    x, weight, bias = inputs(2, 2, 3, 2, 4, torch.float32, device)
    turned = x.permute(order).contiguous().permute([order.index(axis) for axis in range(4)])
    assert not turned.is_contiguous()
    check(turned, weight.to(memory_format=torch.channels_last), bias, True)


def test_float32_weights_of_autocast_meet_bfloat16_pixels(device):
    x, weight, bias = inputs(3, 1, 3, 4, 4, torch.float32, device)
    check(x.bfloat16(), weight, bias, True)


def test_the_same_call_gives_the_same_bits_whatever_was_in_memory(device, monkeypatch):
    tensors = inputs(4, 1, 4, 5, 10, torch.bfloat16, device)
    towards = normal(9, 1, 4, 5, 10, dtype=torch.bfloat16).to(device)
    empty, results = torch.empty, []
    for filling in (torch.nan, 1e30):
        poisoned = lambda *size, filling=filling, **options: empty(*size, **options).fill_(filling)  # noqa: E731
        monkeypatch.setattr(torch, "empty", poisoned)
        results.append((gated_depthwise(*tensors), *gradients(gated_depthwise, tensors, towards)))
    for name, once, again in zip(("out", "dx", "dweight", "dbias"), *results, strict=True):
        assert bool(once.isfinite().all()), name
        assert torch.equal(once, again), name


@both
def test_large_numbers_stay_finite(device, activate):
    """exp(−x) is infinite there, and SiLU all but 0 or x."""
    x, weight, bias = inputs(5, 1, 2, 3, 4, torch.float32, device)
    check(1000 * x, weight, bias, activate)


def test_the_operators_are_what_torch_asks_of_operators(device):
    """Schema, shapes and strides without data, and their gradient in traced code."""
    x, weight, bias = inputs(6, 1, 2, 3, 4, torch.float32, device)
    grad = normal(9, 1, 2, 3, 4, dtype=torch.float32).to(device)
    torch.library.opcheck(gated_depthwise_forward, [tensor.requires_grad_() for tensor in (x, weight, bias)] + [True])
    torch.library.opcheck(gated_depthwise_backward, (x.detach(), weight.detach(), bias.detach(), grad, True))


def test_compiled_code_calls_them_without_a_break(device):
    x, weight, bias = inputs(7, 1, 2, 3, 4, torch.float32, device)
    towards = normal(9, 1, 2, 3, 4, dtype=torch.float32).to(device)

    def layer(x, weight, bias):
        return 2 * gated_depthwise(x + 1, weight, bias, activate=True) if supports(x) else x

    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(x, weight, bias), layer(x, weight, bias))
    wanted = gradients(layer, (x, weight, bias), towards)
    for got, want in zip(gradients(compiled, (x, weight, bias), towards), wanted, strict=True):
        assert torch.equal(got, want)


@given(st.integers(1, 8), st.integers(1, 600), st.integers(1, 600), st.integers(1, 10**4), st.integers(1, 200))
def test_strips_cover_all_rows_and_none_is_empty(b, height, width, channels, processors):
    _, columns, count, rows = strips(b, height, width, channels, processors)
    assert (count // columns - 1) * rows < height <= count // columns * rows
    assert count % columns == 0
    assert rows >= triton_depthwise.LEAST_ROWS


def test_what_the_kernels_do_not_take_is_refused_and_can_be_asked_for():
    assert supports(torch.zeros(1, 2, 3, 4))
    assert not supports(torch.zeros(1, 2, 3, 4, dtype=torch.float64))
    assert not supports(torch.zeros(1, 0, 3, 4))
    assert not supports(torch.zeros(2, 3, 4))
    for x, channels in (
        (torch.zeros(1, 2, 3, 4, dtype=torch.float64), 4),
        (torch.zeros(1, 2, 3, 4), 6),
        (torch.zeros(1, 2, 3, 5), 5),
    ):
        with pytest.raises(ShapeError, match=r"these kernels take \[B, H, W, 2h\] in float32"):
            gated_depthwise(x, torch.zeros(channels, 1, 3, 3), torch.zeros(channels))


QUICK = {(80, torch.float32), (90, torch.bfloat16), (120, torch.bfloat16)}


@pytest.mark.parametrize("kernel", ["gate", "gate with its gradient", "input_grads"])
@pytest.mark.parametrize(("card", "dtype"), variants(QUICK, (torch.bfloat16,), (torch.float32,)))
def test_kernels_compile_for_every_card(kernel, card, dtype, monkeypatch, tmp_path):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    function = getattr(triton_depthwise, f"{kernel.split()[0]}_kernel")
    types = dict.fromkeys(("x", "weight", "bias", "grad", "out", "d", "dx"), POINTERS[dtype]) | {"partials": "*fp32"}
    options = {"PIXELS": 8, "CHANNELS": 64, "STAGES": 3, "ACTIVATE": True, "GRADIENT": "gradient" in kernel}
    assert compile_for(card, function, types, options | {"num_warps": 4, "enable_fp_fusion": True}).asm["cubin"]
