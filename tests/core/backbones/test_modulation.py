"""Adaptive layer norm and gates, written out."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from linearsr.core.backbones.modulation import gated_residual, modulated_norm, scale_shift_table
from tests.strategies import normal, seeds

ROUNDING = {"rtol": 0, "atol": 1e-12}
"""Float64, with values up to some tens."""


@given(seeds, st.integers(1, 3), st.integers(1, 5), st.integers(2, 9))
def test_a_modulated_norm_is_layer_norm_times_one_plus_scale_plus_shift(seed, batch, n, width):
    x, shift, scale = normal(seed, batch, n, width), normal(seed + 1, batch, width), normal(seed + 2, batch, width)
    normed = (x - x.mean(-1, keepdim=True)) / (x.var(-1, unbiased=False, keepdim=True) + 1e-6).sqrt()
    torch.testing.assert_close(modulated_norm(x, shift, scale), normed * (1 + scale[:, None]) + shift[:, None], **ROUNDING)


@given(seeds, st.integers(2, 4), st.integers(1, 5), st.integers(2, 9))
def test_one_time_gives_what_the_same_time_for_every_picture_gives_with_gradients(seed, batch, n, width):
    x, towards = normal(seed, batch, n, width), normal(seed + 3, batch, n, width)
    one = [normal(seed + i, 1, width).requires_grad_() for i in (1, 2)]
    many = [part.expand(batch, -1) for part in one]
    torch.testing.assert_close(modulated_norm(x, *one), modulated_norm(x, *many), **ROUNDING)
    torch.testing.assert_close(gated_residual(x, one[0], towards), gated_residual(x, many[0], towards), **ROUNDING)
    gradients = [torch.autograd.grad((modulated_norm(x, *parts) * towards).sum(), one) for parts in (one, many)]
    for got, want in zip(*gradients, strict=True):
        torch.testing.assert_close(got, want, **ROUNDING)


@given(seeds)
def test_a_gate_scales_what_is_added(seed):
    x, gate, update = normal(seed, 2, 3, 4), normal(seed + 1, 2, 4), normal(seed + 2, 2, 3, 4)
    torch.testing.assert_close(gated_residual(x, gate, update), x + gate[:, None] * update, **ROUNDING)
    assert torch.equal(gated_residual(x, 0 * gate, update), x)


def test_a_table_is_drawn_with_variance_one_over_the_width():
    torch.manual_seed(0)
    table = scale_shift_table(6, 4096)
    assert abs(table.std().item() * 64 - 1) < 0.02  # 24576 draws: the standard error is 0.0045
