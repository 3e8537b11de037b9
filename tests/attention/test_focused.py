"""Focused linear attention: what φ does to a row, and the local branch."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from linearsr.attention import ReLULinearAttention
from linearsr.attention.focused import FocusedLinearAttention, focus
from linearsr.attention.local_branch import depthwise, depthwise_dense
from linearsr.core.errors import ShapeError
from tests.attention.spatial_laws import error_of_tiles, error_of_twin, heads_that_see, layer, sides, spans
from tests.strategies import normal, seeds

powers = st.sampled_from([1.0, 1.5, 3.0, 8.0])
ROUNDING = {"rtol": 1e-12, "atol": 1e-12}
"""Float64: a power of a few roundings."""


def outputs_and_slopes(function, x):
    out = function(x)
    return out.detach(), *torch.autograd.grad(out.sum(), x)


@given(seeds, sides, sides, powers, st.sampled_from([1, 3, 5]), st.booleans())
def test_outputs_and_gradients_are_those_of_the_dense_form(seed, height, width, power, kernel, qk_norm):
    attention = layer(FocusedLinearAttention, power=power, kernel=kernel, qk_norm=qk_norm)
    assert error_of_twin(attention, (height, width), seed) <= 1e-10  # float64 rounding


@given(seeds, st.integers(1, 9), powers)
def test_focus_keeps_the_norm_of_the_positive_part(seed, width, power):
    x = normal(seed, 20, width)
    torch.testing.assert_close(focus(x, power).norm(dim=-1), x.relu().norm(dim=-1), **ROUNDING)


@given(seeds, powers)
def test_ratios_of_entries_are_raised_to_the_power(seed, power):
    x = normal(seed, 20, 2).abs() + 0.1  # a ratio needs no zeros
    wanted = (x[:, 0] / x[:, 1]) ** power
    torch.testing.assert_close(focus(x, power)[:, 0] / focus(x, power)[:, 1], wanted, **ROUNDING)


def test_a_row_worked_by_hand():
    # y = (1, 2, 0), y³ = (1, 8, 0): √5/√65 of it
    want = torch.tensor([1.0, 8.0, 0.0], dtype=torch.float64) / 13**0.5
    torch.testing.assert_close(focus(torch.tensor([1.0, 2.0, -7.0], dtype=torch.float64), 3), want, **ROUNDING)


@pytest.mark.parametrize("scale", [2.0**-110, 2.0**-60, 2.0**60, 2.0**120])
def test_focus_of_float32_takes_any_scale_whose_square_is_no_number(scale):
    x = normal(0, 50, 8, dtype=torch.float32).requires_grad_()
    for got, want in zip(
        outputs_and_slopes(lambda y: focus(scale * y, 3) / scale, x), outputs_and_slopes(lambda y: focus(y, 3), x), strict=True
    ):
        torch.testing.assert_close(got, want, rtol=1e-6, atol=1e-7)  # float32; a power of 2 rounds nothing


@pytest.mark.parametrize("power", [1.0, 1.5, 3.0])
def test_a_row_without_a_positive_entry_gives_exactly_0_and_a_gradient_of_0(power):
    x = normal(0, 3, 4)
    x[0], x[1] = 0, -x[1].abs()
    x.requires_grad_()
    out = focus(x, power)
    assert not out[:2].any()
    assert bool(out[2].any())
    out.sum().backward()
    assert not x.grad[:2].any()
    assert bool(x.grad.isfinite().all())
    assert bool(x.grad[2].any())


@pytest.mark.parametrize("power", [1.0, 1.5, 3.0])
def test_the_gradient_of_focus_is_that_of_finite_differences(power):
    assert torch.autograd.gradcheck(lambda x: focus(x, power), normal(1, 4, 5).requires_grad_())


def test_autocast_reaches_neither_focus_nor_the_local_branch():
    x, weight = normal(0, 1, 2, 15, 4, dtype=torch.float32), normal(1, 2, 4, 3, 3, dtype=torch.float32)
    outside = focus(x, 3), depthwise(x, weight, (5, 3)), depthwise_dense(x, weight, (5, 3))
    with torch.autocast("cpu", torch.bfloat16):
        inside = focus(x, 3), depthwise(x, weight, (5, 3)), depthwise_dense(x, weight, (5, 3))
    assert all(torch.equal(one, other) for one, other in zip(inside, outside, strict=True))


def test_power_1_without_the_local_branch_is_relu_linear_attention():
    focused, plain = layer(FocusedLinearAttention, power=1), layer(ReLULinearAttention)
    focused.load_state_dict({**plain.state_dict(), "local.weight": torch.zeros_like(focused.local.weight)})
    x = normal(2, 2, 15, 8)
    torch.testing.assert_close(focused(x, (5, 3)), plain(x, (5, 3)), **ROUNDING)


@given(seeds, sides, sides, st.sampled_from([1, 3, 5]))
def test_the_local_branch_is_torchs_convolution_of_each_head_with_the_same_kernels(seed, height, width, kernel):
    v, weight = normal(seed, 2, 3, height * width, 4), normal(seed + 1, 1, 4, kernel, kernel)
    for convolve in (depthwise, depthwise_dense):
        mixed = convolve(v, weight, (height, width))
        for head in range(3):
            picture = v[:, head].mT.unflatten(-1, (height, width))
            want = torch.nn.functional.conv2d(picture, weight.movedim(0, 1), padding=kernel // 2, groups=4)
            torch.testing.assert_close(mixed[:, head], want.flatten(2).mT, **ROUNDING)


def test_heads_stand_alone():
    assert torch.equal(heads_that_see(layer(FocusedLinearAttention)), torch.eye(2, dtype=torch.bool))


@given(seeds, sides, sides, st.sampled_from([1, 3, 7]), st.booleans(), st.data())
def test_tiles_with_their_margins_are_the_whole(seed, height, width, kernel, qk_norm, data):
    attention = layer(FocusedLinearAttention, kernel=kernel, qk_norm=qk_norm)
    picture = normal(seed, 2, height, width, 8)
    assert error_of_tiles(attention, picture, spans(data, height), spans(data, width)) <= 1e-10  # float64 rounding


def test_tiles_without_their_margins_are_not():
    attention, picture = layer(FocusedLinearAttention), normal(0, 1, 6, 6, 8)
    attention.halo = 1  # it is 2
    assert error_of_tiles(attention, picture, [(0, 3), (3, 6)], [(0, 6)]) > 1e-3


def test_tokens_that_do_not_fill_the_grid_are_refused_in_tiles_too():
    attention = layer(FocusedLinearAttention)
    state = attention.state(normal(0, 1, 6, 8), (2, 3))
    with pytest.raises(ShapeError, match=r"wanted \[B, 8, 8\]"):
        attention.apply(normal(0, 1, 6, 8), state, (2, 4))
