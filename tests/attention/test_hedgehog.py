"""Hedgehog's feature map: positive, one per head and side, and where it starts."""

import torch
from hypothesis import given

from linearsr.attention.hedgehog import HedgehogAttention, hedgehog_features
from linearsr.attention.reference import linear_attention_dense
from tests.strategies import normal, seeds

ROUNDING = {"rtol": 0, "atol": 1e-12}
"""Float64: means of values of unit size."""


def layer():
    return HedgehogAttention(8, 2).double()


def qkv(seed, n=7):
    return [normal(seed + i, 2, 2, n, 4) for i in range(3)]


def test_features_worked_by_hand():
    weight = torch.tensor([[[0.0, 1.0], [2.0, 0.0]]], dtype=torch.float64)
    x = torch.tensor([2.0, 8.0], dtype=torch.float64).log().view(1, 1, 1, 2)
    want = torch.tensor([8, 4, 1 / 8, 1 / 4], dtype=torch.float64) / 12.375
    torch.testing.assert_close(hedgehog_features(x, weight).flatten(), want, rtol=1e-14, atol=0)


@given(seeds)
def test_features_are_positive_and_sum_to_one(seed):
    features = hedgehog_features(normal(seed, 2, 2, 5, 4), normal(seed + 1, 2, 4, 4))
    assert features.shape == (2, 2, 5, 8)
    assert bool((features > 0).all())
    torch.testing.assert_close(features.sum(-1), torch.ones(2, 2, 5, dtype=torch.float64), **ROUNDING)


@given(seeds)
def test_the_maps_start_as_the_identity(seed):
    q, k, v = qkv(seed)
    want = linear_attention_dense(*(torch.cat([x, -x], -1).softmax(-1) for x in (q, k)), v)
    torch.testing.assert_close(layer().mix(q, k, v, (1, 7)), want, **ROUNDING)


@given(seeds)
def test_a_query_needs_no_normalisation(seed):
    q, k, v = qkv(seed)
    want = linear_attention_dense(torch.cat([q.exp(), (-q).exp()], -1), layer().key_features(k), v)
    torch.testing.assert_close(layer().mix(q, k, v, (1, 7)), want, **ROUNDING)


def test_heads_and_sides_learn_apart():
    q, k, v = qkv(0)
    start = layer().mix(q, k, v, (1, 7))
    for name in ("query_map", "key_map"):
        attention = layer()
        with torch.no_grad():
            getattr(attention, name)[1] += normal(4, 4, 4)
        moved = attention.mix(q, k, v, (1, 7)).detach()
        assert torch.equal(moved[:, 0], start[:, 0])
        assert (moved[:, 1] - start[:, 1]).abs().min() > 0
    assert {n: tuple(p.shape) for n, p in layer().named_parameters() if "map" in n} == {
        "query_map": (2, 4, 4),
        "key_map": (2, 4, 4),
    }


def test_huge_queries_and_keys_stay_finite_with_their_gradients():
    attention = HedgehogAttention(8, 2)
    q, k, v = [(1e4 * x).float().requires_grad_() for x in qkv(1)]
    out = attention.mix(q, k, v, (1, 7))
    leaves = (q, k, v, attention.query_map, attention.key_map)
    assert all(bool(x.isfinite().all()) for x in (out, *torch.autograd.grad(out.sum(), leaves)))
