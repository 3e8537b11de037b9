"""Functions, layers and the denoiser reach the Triton kernels and give what torch's operations give on a CPU in float64.

On a card as they are; here the one question is answered with yes, whether a tensor lies on a card where Triton works, and the
kernels are interpreted.
"""

from collections import Counter

import pytest
import torch

pytest.importorskip("triton")

from linearsr.attention import ReLULinearAttention, functional, triton_linear, triton_linear_backward, triton_linear_forward
from linearsr.attention.functional import linear_attention, relu_linear_attention
from linearsr.core.backbones import GatedConvFeedForward, gated_conv_ffn, triton_depthwise, triton_depthwise_kernels
from linearsr.core.structures import GuidanceTokens
from tests.core.backbones.test_linear_dit import dit, question
from tests.interpreted import interpreted
from tests.strategies import normal

KERNELS = (triton_linear, triton_linear_forward, triton_linear_backward, triton_depthwise, triton_depthwise_kernels)
ENTRIES = {triton_linear: "triton_linear_attention", triton_depthwise: "gated_depthwise"}
FLOAT32 = 1e-5
"""Of the largest value: roundings of 6e-8 through a layer or two blocks, and sums of a hundred terms that cancel."""
BFLOAT16 = 4 * 2.0**-8
"""Of the largest value: weights, tokens, projections and outputs are rounded to 2⁻⁹ each, and errors add up at random."""
BFLOAT16_GRADIENTS = 2.0**-4
"""In the mean square: a query rounded to the other side of a ReLU has another gradient, wholly."""
GRID = (3, 5)


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request, monkeypatch):
    if request.param == "cuda":
        with torch.backends.cudnn.flags(allow_tf32=False):
            yield "cuda"
        return
    for module in (functional, gated_conv_ffn):
        monkeypatch.setattr(module, "on_triton", lambda x: True)
    with interpreted(*KERNELS):
        yield "cpu"


@pytest.fixture
def calls(device, monkeypatch):
    """How often each entry to the kernels is called, and with which types."""
    counted = Counter()

    def counting(entry, name):
        def call(*tensors, **options):
            counted[name] += 1
            counted[name, *(x.dtype for x in tensors)] += 1
            return entry(*tensors, **options)

        return call

    for module, name in ENTRIES.items():
        monkeypatch.setattr(module, name, counting(getattr(module, name), name))
    return counted


def qkv(device, dtype=torch.float32, width=8):
    """Nowhere negative, as `linear_attention` wants queries and keys."""
    return [normal(seed, 2, 2, 37, width, dtype=dtype).abs().to(device) for seed in range(3)]


def error(got, want):
    """Of the largest value wanted, from float64 on the CPU."""
    return ((got.double().cpu() - want).abs().max() / want.abs().max()).item()


def mean_square_error(got, want):
    return ((got.double().cpu() - want).norm() / want.norm()).item()


def agree(got, want, tolerance):
    assert len(got) == len(want)
    assert max(map(error, got, want)) <= tolerance


def with_gradients(function, tensors):
    """Output and gradients of its sum of squares."""
    leaves = [x.detach().requires_grad_() for x in tensors]
    out = function(*leaves)
    return [out, *torch.autograd.grad(out.double().square().sum(), leaves)]


def training(module, x, *arguments):
    """Output and gradients of x and of the parameters."""
    x = x.detach().requires_grad_()
    out = module(x, *arguments)
    return [out, *torch.autograd.grad(out.double().square().sum(), [x, *module.parameters()])]


def twins(cls, device, *arguments, **options):
    """The same layer in float32 on the device and in float64 on the CPU."""
    torch.manual_seed(0)
    layer = cls(*arguments, **options)
    exact = cls(*arguments, **options).double()
    exact.load_state_dict(layer.state_dict())
    return layer.to(device), exact


@pytest.mark.parametrize("function", [relu_linear_attention, linear_attention])
def test_the_functions_call_the_kernels_outputs_and_gradients(function, device, calls):
    tensors = qkv(device)
    got = with_gradients(function, tensors)
    assert calls["triton_linear_attention"] == 1
    agree(got, with_gradients(function, [x.double().cpu() for x in tensors]), FLOAT32)


@pytest.mark.parametrize(("dtype", "width"), [(torch.float64, 8), (torch.float32, 65)])
def test_what_the_kernels_do_not_take_goes_to_torch(dtype, width, device, calls):
    tensors = qkv(device, dtype, width)
    got = relu_linear_attention(*tensors)
    assert not calls
    assert error(got, relu_linear_attention(*[x.double().cpu() for x in tensors])) <= FLOAT32


def test_autocast_takes_queries_and_keys_to_the_values_type_where_that_is_no_loss(device, calls):
    """What a norm leaves in float32 came from bfloat16; features that are computed already may need their digits."""
    q, k, v = qkv(device)
    inputs = q, k, v.bfloat16()
    torch.set_autocast_enabled("cuda", True)  # torch.autocast would not, without a card
    try:
        relu_linear_attention(*inputs)
        linear_attention(*inputs)
        relu_linear_attention(q.double(), k.double(), v)
    finally:
        torch.set_autocast_enabled("cuda", False)
    name = "triton_linear_attention"
    assert calls == {
        name: 2,
        (name, torch.bfloat16, torch.bfloat16, torch.bfloat16): 1,
        (name, torch.float32, torch.float32, torch.bfloat16): 1,
    }


@pytest.mark.parametrize("qk_norm", [False, True])
def test_an_attention_layer_trains_on_the_kernels_in_float32_and_under_autocast(qk_norm, device, calls):
    layer, exact = twins(ReLULinearAttention, device, dim=32, num_heads=2, qk_norm=qk_norm)
    x = normal(1, 2, 15, 32)
    want = training(exact, x, GRID)
    agree(training(layer, x.float().to(device), GRID), want, FLOAT32)
    with torch.autocast(device, torch.bfloat16):
        got = training(layer, x.float().to(device), GRID)
    assert got[0].dtype == torch.bfloat16
    assert error(got[0], want[0]) <= BFLOAT16
    errors = list(map(mean_square_error, got[1:], want[1:]))
    assert max(errors) <= BFLOAT16_GRADIENTS
    assert calls["triton_linear_attention"] == 2


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_feed_forward_works_and_trains_on_the_kernels(dtype, device, calls):
    layer, exact = twins(GatedConvFeedForward, device, 16)
    x = normal(1, 2, 15, 16)
    tolerance = FLOAT32 if dtype == torch.float32 else BFLOAT16
    with torch.no_grad():
        assert error(layer.to(dtype)(x.to(device, dtype), GRID), exact(x, GRID)) <= tolerance
    assert calls["gated_depthwise"] == 1
    agree(training(layer, x.to(device, dtype), GRID), training(exact, x, GRID), 4 * tolerance)
    assert calls["gated_depthwise"] == 2


@pytest.mark.parametrize(
    ("cls", "options"), [(ReLULinearAttention, {"num_heads": 2}), (GatedConvFeedForward, {})], ids=["attention", "feed-forward"]
)
def test_a_layer_compiles_without_a_break_into_a_graph_with_the_kernels(cls, options, device):
    found = []

    def backend(graph, inputs):
        found.extend(str(node.target) for node in graph.graph.nodes)
        return graph.forward

    layer, exact = twins(cls, device, dim=16, **options)
    x = normal(1, 2, 15, 16)
    compiled = torch.compile(layer, fullgraph=True, backend=backend)
    agree(training(compiled, x.float().to(device), GRID), training(exact, x, GRID), FLOAT32)
    assert any(name.startswith("linearsr") for name in found), found


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore")  # Inductor's advice on TF32 and the like
def test_a_whole_denoiser_compiles_to_what_it_gives_uncompiled():
    model, inputs = dit(torch.float32).cuda(), on("cuda", torch.float32)
    compiled = torch.compile(model, fullgraph=True)
    with torch.no_grad(), torch.backends.cudnn.flags(allow_tf32=False):
        want = model(*inputs).double().cpu()
        assert error(compiled(*inputs), want) <= FLOAT32
    with torch.no_grad(), torch.autocast("cuda", torch.bfloat16):
        assert error(compiled(*inputs), want) <= 4 * BFLOAT16


def on(device, dtype):
    z, t, lr, words = question(dtype=dtype)
    return z.to(device), t.to(device), lr.to(device), GuidanceTokens(words.tokens, words.mask).to(device)


@pytest.mark.parametrize("tile", [None, (2, 3)], ids=["whole", "tiled"])
def test_a_denoiser_gives_on_a_card_what_it_gives_on_a_cpu(tile, device, calls):
    model = dit(torch.float32, tile=tile).to(device)
    with torch.no_grad():
        want = dit()(*question())
        got = model(*on(device, torch.float32))
    assert error(got, want) <= FLOAT32
    assert calls["gated_depthwise"] >= 2
    assert calls["triton_linear_attention"] == (2 if tile is None else 0)  # tiles come with sums of their own
