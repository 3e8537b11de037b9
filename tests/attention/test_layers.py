"""The modules around the kernels: projections, norms, tiles, and what they refuse."""

import pytest
import torch
from torch import nn

from linearsr.attention import ReLULinearAttention, SoftmaxAttention
from linearsr.core.errors import ConfigError, ShapeError
from tests.strategies import normal

both = pytest.mark.parametrize("cls", [ReLULinearAttention, SoftmaxAttention])


def layer(cls=ReLULinearAttention, dim=12, num_heads=3, **options):
    torch.manual_seed(0)
    return cls(dim, num_heads, **options).double()


@both
@pytest.mark.parametrize("qk_norm", [False, True])
def test_a_layer_is_qkv_heads_mixing_and_projection_written_out(cls, qk_norm):
    attention = layer(cls, qk_norm=qk_norm)
    x = normal(0, 2, 6, 12)
    q, k, v = (x @ part.T for part in attention.qkv.weight.split(12))
    if qk_norm:
        with torch.no_grad():
            attention.q_norm.weight.copy_(normal(1, 12))
            attention.k_norm.weight.copy_(normal(2, 12))
        q = q / (q.square().mean(-1, keepdim=True) + 1e-5).sqrt() * attention.q_norm.weight
        k = k / (k.square().mean(-1, keepdim=True) + 1e-5).sqrt() * attention.k_norm.weight
    heads = []
    for head in range(3):
        one = slice(4 * head, 4 * head + 4)
        if cls is ReLULinearAttention:
            weights = q[..., one].relu() @ k[..., one].relu().mT
            weights = torch.nan_to_num(weights / weights.sum(-1, keepdim=True))
        else:
            weights = (q[..., one] @ k[..., one].mT / 2).softmax(-1)  # √4
        heads.append(weights @ v[..., one])
    want = torch.cat(heads, -1) @ attention.proj.weight.T + attention.proj.bias
    torch.testing.assert_close(attention(x, (2, 3)), want, rtol=0, atol=1e-10)  # eps, written out nowhere here, and rounding


def test_sanas_parameters_have_sanas_shapes_and_biases():
    shapes = {name: tuple(p.shape) for name, p in layer(qk_norm=True).named_parameters()}
    assert shapes == {
        "qkv.weight": (36, 12),
        "q_norm.weight": (12,),
        "k_norm.weight": (12,),
        "proj.weight": (12, 12),
        "proj.bias": (12,),
    }
    assert not any("norm" in name for name, _ in layer().named_parameters())


@pytest.mark.parametrize("qk_norm", [False, True])
def test_queries_and_keys_taken_apart_are_those_of_the_whole(qk_norm):
    attention, x = layer(qk_norm=qk_norm), normal(0, 2, 6, 12)
    together = attention.split(x, (2, 3))
    apart = (attention.queries(x, (2, 3)), *attention.keys_values(x, (2, 3)))
    for got, want in zip(apart, together, strict=True):
        torch.testing.assert_close(got, want, rtol=0, atol=1e-14)  # products of other sizes round otherwise


def test_gradients_through_tiles_are_those_of_the_whole():
    attention, x, towards = layer(), normal(0, 1, 20, 12), normal(1, 1, 20, 12)
    parameters = list(attention.parameters())
    whole = torch.autograd.grad((attention(x, (4, 5)) * towards).sum(), parameters)
    upper, lower = x[:, :15], x[:, 15:]
    state = attention.state(upper, (3, 5)) + attention.state(lower, (1, 5))
    tiles = torch.cat([attention.apply(upper, state, (3, 5)), attention.apply(lower, state, (1, 5))], 1)
    for got, want in zip(torch.autograd.grad((tiles * towards).sum(), parameters), whole, strict=True):
        torch.testing.assert_close(got, want, rtol=0, atol=1e-12)  # float64 rounding


def test_apply_is_still_torchs_for_a_function():
    model = nn.Sequential(nn.Linear(12, 12), layer())
    seen = []
    assert model.apply(seen.append) is model
    assert [type(part).__name__ for part in seen] == ["Linear", "Linear", "Linear", "ReLULinearAttention", "Sequential"]


def test_apply_without_the_state_says_where_to_get_it():
    with pytest.raises(ShapeError, match=r"take the state from state\(x, grid\)"):
        layer().apply(normal(0, 1, 6, 12))


@both
@pytest.mark.parametrize("qk_norm", [False, True])
def test_autocast_gives_bfloat16_out_and_gradients_in_the_weights_type(cls, qk_norm):
    attention = layer(cls, qk_norm=qk_norm).float()
    x = normal(0, 2, 6, 12).float()
    with torch.autocast("cpu", torch.bfloat16):
        out = attention(x, (2, 3))
    assert out.dtype == torch.bfloat16
    out.float().square().sum().backward()
    assert all(p.grad.dtype == torch.float32 and bool(p.grad.isfinite().all()) for p in attention.parameters())


@both
def test_heads_that_do_not_divide_the_width_are_refused(cls):
    with pytest.raises(ConfigError, match=r"num_heads=5 does not divide dim=12; change width or head_width"):
        cls(12, 5)


@both
@pytest.mark.parametrize(("size", "grid"), [((1, 6, 12), (2, 4)), ((1, 6, 8), (2, 3)), ((6, 12), (2, 3))])
def test_tokens_that_do_not_fill_the_grid_are_refused(cls, size, grid):
    with pytest.raises(ShapeError, match=rf"wanted \[B, {grid[0] * grid[1]}, 12\]"):
        layer(cls)(torch.zeros(size, dtype=torch.float64), grid)
