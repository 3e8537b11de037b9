"""FAVOR+: what its random features estimate, how well, and that no size of input breaks it."""

from math import log

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from linearsr.attention.performer import PerformerAttention, key_logits, orthogonal_projections, query_logits
from tests.strategies import normal, seeds

ROUNDING = {"rtol": 0, "atol": 1e-12}
"""Float64: means of values of unit size."""
SIGMAS = 4
"""Standard errors that an estimate may be off; the seeds are fixed, so it is off or not once and for all."""


def layer(width=4, num_heads=2, seed=0, **options):
    torch.manual_seed(seed)
    return PerformerAttention(width * num_heads, num_heads, **options).double()


def qkv(seed, n, width=4, scale=1.0):
    return [size * normal(seed + i, 2, 2, n, width) for i, size in enumerate((scale, scale, 1.0))]


def generator(seed):
    return torch.Generator().manual_seed(seed)


@given(seeds, st.integers(1, 23))
def test_output_is_that_of_the_features_as_the_paper_writes_them(seed, n):
    attention = layer(num_features=9)
    q, k, v = qkv(seed, n)
    w = attention.projections

    def features(x):  # eq. 5 with h(x) = exp(−|x|²/2), f = exp, and the temperature of eq. 1
        x = x / 4**0.25
        return torch.exp(x @ w.T - x.square().sum(-1, keepdim=True) / 2) / 9**0.5

    weights = features(q) @ features(k).mT
    want = weights @ v / weights.sum(-1, keepdim=True)
    for got in (
        attention.mix(q, k, v, (1, n)),
        attention.mix_dense(q, k, v, (1, n)),
        attention.read(q, attention.summarise(k, v)),
    ):
        torch.testing.assert_close(got, want, **ROUNDING)


@given(seeds)
def test_the_kernel_estimate_is_unbiased(seed):
    width, blocks = 3, 4000
    q, k = (F.normalize(normal(seed + i, 1, 1, 1, width), dim=-1) for i in range(2))  # the variance is exponential in lengths
    w = orthogonal_projections(blocks * width, width, generator(seed)).double()
    log_products = query_logits(q, w) - q.square().sum() / (2 * width**0.5) + key_logits(k, w)
    each = log_products.exp().flatten().unflatten(0, (blocks, width)).mean(1)  # blocks are independent, rows of one are not
    standard_error = each.std() / blocks**0.5
    exact = ((q * k).sum() / width**0.5).exp()
    assert standard_error < 0.1 * exact  # so that the next line says something
    assert (each.mean() - exact).abs() <= SIGMAS * standard_error


def test_with_more_features_it_comes_to_softmax_attention_as_one_over_their_root():
    q, k, v = qkv(0, 24, width=8, scale=0.35)  # so small that no rare feature carries the sum: those fall slower
    softmax = F.scaled_dot_product_attention(q, k, v)

    def error(num_features):
        draws = [layer(8, seed=seed, num_features=num_features).mix(q, k, v, (4, 6)) for seed in range(20)]
        return torch.stack(draws).sub(softmax).square().mean().sqrt()

    few, many = error(32), error(512)
    assert many < 0.02
    assert 4 / 2**0.5 < few / many < 4 * 2**0.5  # √16 = 4, from 20 draws


def test_rows_are_orthogonal_in_blocks_and_normal_one_by_one():
    width, blocks = 4, 5000
    rows = orthogonal_projections(width * blocks, width, generator(0)).double()
    gram = rows.unflatten(0, (blocks, width)) @ rows.unflatten(0, (blocks, width)).mT
    lengths = gram.diagonal(dim1=-2, dim2=-1)
    assert (gram - lengths.diag_embed()).abs().max() <= 1e-5  # float32 products of lengths up to 5
    # |ω|² is chi-squared: mean D, variance 2D. Each entry: mean 0, variance 1, fourth moment 3 (variance 96)
    count = width * blocks
    for moment, exact, variance in (
        (lengths.mean(), width, 2 * width / count),
        (lengths.var(), 2 * width, (12 * width * (width + 4) - 4 * width**2) / count),
        (rows.mean(0), 0, 1 / count),
        (rows.square().mean(0), 1, 2 / count),
        (rows.pow(4).mean(0), 3, 96 / count),
    ):
        assert bool(((moment - exact).abs() <= SIGMAS * variance**0.5).all())


@pytest.mark.parametrize(("num_features", "width"), [(1, 4), (3, 4), (4, 4), (11, 4), (2, 1)])
def test_any_number_of_features_is_drawn_alike_from_one_seed(num_features, width):
    drawn = orthogonal_projections(num_features, width, generator(3))
    assert drawn.shape == (num_features, width)
    assert torch.equal(drawn, orthogonal_projections(num_features, width, generator(3)))
    assert not torch.equal(drawn, orthogonal_projections(num_features, width, generator(4)))


@pytest.mark.parametrize(("width", "features"), [(1, 1), (2, 2), (8, round(8 * log(8))), (32, 111)])
def test_the_default_is_d_log_d_features_and_a_state_dict_carries_them(width, features):
    source, target = layer(width, seed=0), layer(width, seed=1)
    assert source.state_dict()["projections"].shape == (features, width)
    assert not any("projections" in name for name, _ in source.named_parameters())
    assert not torch.equal(source.projections, target.projections)
    target.load_state_dict(source.state_dict())
    assert torch.equal(source.projections, target.projections)


@given(seeds, st.integers(1, 23), st.floats(1, 1e4))
def test_an_output_of_inputs_of_any_size_is_a_mean_of_values(seed, n, scale):
    attention = layer().float()
    q, k, v = [x.float().requires_grad_() for x in qkv(seed, n, scale=scale)]
    out = attention.mix(q, k, v, (1, n))
    slack = 1e-5 * v.detach().abs().max()  # float32
    assert bool(((out >= v.amin(2, keepdim=True) - slack) & (out <= v.amax(2, keepdim=True) + slack)).all())
    assert all(bool(g.isfinite().all()) for g in torch.autograd.grad(out.square().sum(), (q, k, v)))


@given(seeds, st.integers(1, 23))
def test_tiles_of_wildly_different_keys_add_up_to_the_whole(seed, n):
    attention = layer()
    q, k, v = qkv(seed, 2 * n)
    k = torch.cat([40 * k[:, :, :n], k[:, :, n:] / 40], 2)  # logarithms of features down to some −10⁴, and about 0
    for upper, lower in ((slice(0, n), slice(n, None)), (slice(n, None), slice(0, n))):
        state = attention.summarise(k[:, :, upper], v[:, :, upper]) + attention.summarise(k[:, :, lower], v[:, :, lower])
        torch.testing.assert_close(attention.read(q, state), attention.mix_dense(q, k, v, (2, n)), **ROUNDING)


@given(seeds, st.integers(1, 23), st.integers(2, 4))
def test_all_keys_and_values_given_several_times_change_nothing(seed, n, times):
    attention = layer()
    q, k, v = qkv(seed, n)
    often = attention.mix(q, k.repeat(1, 1, times, 1), v.repeat(1, 1, times, 1), (1, n))
    torch.testing.assert_close(often, attention.mix(q, k, v, (1, n)), **ROUNDING)
