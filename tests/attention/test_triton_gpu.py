"""What only a card can show of the Triton kernels: graphs, compiled layers, long pictures. Their laws have their own tests."""

import pytest
import torch
import torch.nn.functional as F

pytest.importorskip("triton")

from linearsr.attention.functional import EPS, relu_linear_attention
from linearsr.attention.reference import relu_linear_attention_dense
from linearsr.attention.triton_linear import triton_linear_attention
from linearsr.core.backbones.triton_depthwise import gated_depthwise
from tests.strategies import normal

pytestmark = pytest.mark.gpu
HEADS, WIDTH = 36, 32  # Sana 0.6B
dtypes = pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.bfloat16, 4 * 2.0**-8), (torch.float16, 4 * 2.0**-11)], ids=str
)


def qkv(seed, tokens, dtype=torch.bfloat16, heads=HEADS, width=WIDTH):
    fused = normal(seed, 1, tokens, 3, heads, width, dtype=dtype).cuda()
    return [fused[:, :, i].transpose(1, 2) for i in range(3)]


def attend(q, k, v):
    return triton_linear_attention(q, k, v, eps=EPS, rectify=True)


def gradients(function, tensors, towards):
    leaves = [x.detach().requires_grad_() for x in tensors]
    return torch.autograd.grad(function(*leaves), leaves, towards)


def by_torch(x, weight, bias):
    value, gate = F.conv2d(F.silu(x).movedim(3, 1), weight, bias, padding=1, groups=len(weight)).movedim(1, 3).chunk(2, -1)
    return value * F.silu(gate)


@dtypes
def test_sixteen_thousand_tokens_and_twice_the_same_bits(dtype, tolerance):
    q, k, v = qkv(0, 16384, dtype)
    out = attend(q, k, v)
    want = relu_linear_attention(q.double(), k.double(), v.double())
    assert (out.double() - want).abs().max() <= tolerance * v.abs().max()
    towards = torch.randn_like(out)
    first = gradients(attend, (q, k, v), towards)
    exact = gradients(relu_linear_attention, [x.double() for x in (q, k, v)], towards.double())
    for name, got, gradient in zip(("dq", "dk", "dv"), first, exact, strict=True):
        assert (got.double() - gradient).abs().max() <= max(tolerance, 1e-5) * gradient.abs().max(), name
    assert torch.equal(attend(q, k, v), out)
    assert all(torch.equal(a, b) for a, b in zip(gradients(attend, (q, k, v), towards), first, strict=True))


@dtypes
@pytest.mark.parametrize("width", [16, 33, 64])
def test_every_row_of_the_table_of_tiles_runs(dtype, tolerance, width):
    """Registers and shared memory are refused at launch, not before."""
    q, k, v = qkv(1, 500, dtype, 3, width)
    want = relu_linear_attention_dense(q.double(), k.double(), v.double())
    assert (attend(q, k, v).double() - want).abs().max() <= tolerance * v.abs().max()
    assert all(bool(x.isfinite().all()) for x in gradients(attend, (q, k, v), torch.ones_like(v)))


@pytest.mark.filterwarnings("ignore")  # Inductor's advice on TF32 and the like
def test_the_whole_of_it_compiles_without_a_break():
    q, k, v = qkv(2, 1024)
    x, weight, bias = depthwise_inputs(torch.bfloat16)

    def layers(q, k, v, x, weight, bias):
        return attend(q, k, v).float().sum() + gated_depthwise(x, weight, bias, activate=True).float().sum()

    inputs = (q, k, v, x, weight, bias)
    compiled = torch.compile(layers, fullgraph=True)
    towards = torch.ones([], device="cuda")
    torch.testing.assert_close(compiled(*inputs), layers(*inputs))
    for got, want in zip(gradients(compiled, inputs, towards), gradients(layers, inputs, towards), strict=True):
        torch.testing.assert_close(got, want)


def depthwise_inputs(dtype):
    return [normal(seed, *size, dtype=dtype).cuda() for seed, size in enumerate([(1, 32, 32, 5760), (5760, 1, 3, 3), (5760,)])]


def test_a_cuda_graph_replays_them_on_new_inputs_forward_and_backward():
    attention, depthwise = qkv(3, 1024), depthwise_inputs(torch.bfloat16)
    towards = torch.ones_like(attention[2])

    def run():
        return attend(*attention), *gradients(attend, attention, towards), gated_depthwise(*depthwise)

    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        run()  # compiles
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = run()
    for tensor in (attention[0], depthwise[0]):
        tensor.mul_(0.5).add_(0.25)
    graph.replay()
    for got, want in zip(captured, run(), strict=True):
        assert torch.equal(got, want)


def test_autocast_changes_nothing():
    q, k, v = qkv(4, 1024, torch.float32)
    outside = attend(q, k, v)
    with torch.autocast("cuda", torch.bfloat16):
        assert torch.equal(attend(q, k, v), outside)


@dtypes
@pytest.mark.parametrize("size", [32, 128])
def test_a_pictures_depthwise_gate_is_torchs(dtype, tolerance, size):
    x, weight, bias = depthwise_inputs(dtype)
    x = x[:, :, :, :320].repeat(1, size // 32, size // 32, 1)
    tensors = (x, weight[:320], bias[:320])
    wide = [tensor.double() for tensor in tensors]
    out, want = gated_depthwise(*tensors, activate=True), by_torch(*wide)
    assert (out.double() - want).abs().max() <= 2 * tolerance * want.abs().max()
    towards = torch.randn_like(out)
    got = gradients(lambda *leaves: gated_depthwise(*leaves, activate=True), tensors, towards)
    for name, gradient, exact in zip(("dx", "dweight", "dbias"), got, gradients(by_torch, wide, towards.double()), strict=True):
        # a sum over 16384 pixels, in float32: of terms that cancel
        assert (gradient.double() - exact).abs().max() <= max(tolerance, 1e-5) * exact.abs().max(), name


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="one CUDA device here")
def test_tensors_on_another_than_the_current_device_are_worked_on_there():
    q, k, v = (x.to("cuda:1") for x in qkv(5, 300))
    assert attend(q, k, v).device == q.device
    assert bool(attend(q, k, v).isfinite().all())
