"""Every registered attention against its N×N form: outputs and gradients, and what each type costs in accuracy."""

from copy import deepcopy

import pytest
import torch

from linearsr.core.registries import ATTENTION
from tests.strategies import normal

GRIDS = [(1, 1), (1, 7), (5, 3), (13, 41)]
"""One token, a prime number, taller than wide, more tokens than a chunk of any kernel is likely to take alone."""
EXACT = 1e-10
"""Float64, summed in another order."""
SINGLE = 1e-6
"""Float32, of the largest value: outputs are weighted means of values, so that is what errors are made of."""
SIXTEEN = 4 * 2.0**-8
"""bfloat16 in, sums in float32: roundings of what comes out, of the largest value."""

LEFT_TO_TORCH = {"SoftmaxAttention"}
"""Whose `mix` is one call of torch's, under autocast, too."""

every_variant = pytest.mark.parametrize("name", ATTENTION.own())
every_grid = pytest.mark.parametrize("grid", GRIDS, ids=lambda grid: f"{grid[0]}x{grid[1]}")


def layer(name, dtype=torch.float64, **options):
    torch.manual_seed(0)
    return ATTENTION.build({"type": name, **options}, dim=16, num_heads=2).to(dtype).eval()


def heads(attention, grid, dtype):
    """Queries, keys and values of unit variance as the layer splits them, rounded to `dtype`."""
    with torch.no_grad():
        x = 3**0.5 * normal(1, 2, grid[0] * grid[1], 16)  # weights start uniform in ±1/√16, of variance 1/48
        return [part.to(dtype) for part in deepcopy(attention).double().split(x, grid)]


@every_variant
@every_grid
@pytest.mark.parametrize("qk_norm", [False, True], ids=["plain", "qk_norm"])
def test_output_and_every_gradient_are_those_of_the_dense_form(name, grid, qk_norm):
    attention = layer(name, qk_norm=qk_norm)
    x, towards = (normal(seed, 2, grid[0] * grid[1], 16) for seed in range(2))
    names, leaves = zip(("x", x.requires_grad_()), *attention.named_parameters(), strict=True)
    fast, slow = attention(x, grid), attention.forward_dense(x, grid)
    assert (fast - slow).abs().max() <= EXACT * slow.abs().max()
    got, want = (torch.autograd.grad(out, leaves, towards, allow_unused=True, materialize_grads=True) for out in (fast, slow))
    largest = max(gradient.abs().max() for gradient in want)  # of them all: one token leaves its keys nothing but rounding
    for leaf, one, other in zip(names, got, want, strict=True):
        assert (one - other).abs().max() <= EXACT * largest, leaf


@every_variant
@every_grid
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float32, SINGLE), (torch.bfloat16, SIXTEEN)], ids=["float32", "bfloat16"]
)
@torch.no_grad()
def test_short_types_err_by_a_few_of_their_roundings(name, grid, dtype, tolerance):
    attention = layer(name, dtype)
    q, k, v = heads(attention, grid, dtype)
    got = attention.mix(q, k, v, grid)
    exact = deepcopy(attention).double().mix_dense(q.double(), k.double(), v.double(), grid)
    assert got.dtype == dtype
    assert (got.double() - exact).abs().max() <= tolerance * max(v.double().abs().max(), exact.abs().max())


@every_variant
@torch.no_grad()
def test_autocast_does_not_reach_sums_exponentials_and_divisions(name):
    """But softmax attention is torch's own kernel, which autocast hands bfloat16: it is to be what torch makes of it."""
    attention, grid = layer(name, torch.float32), (13, 41)
    q, k, v = heads(attention, grid, torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        inside = attention.mix(q, k, v, grid), attention.mix_dense(q, k, v, grid)
    taken = [part.bfloat16() for part in (q, k, v)] if name in LEFT_TO_TORCH else [q, k, v]
    assert torch.equal(inside[0], attention.mix(*taken, grid))
    assert torch.equal(inside[1], attention.mix_dense(q, k, v, grid))
