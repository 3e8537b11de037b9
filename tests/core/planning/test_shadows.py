"""Shadows have the shapes, types and storages of what they stand for, and small tensors keep their values."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from linearsr.core.planning.memory import Memory
from linearsr.core.planning.shadows import KEPT, Shadow, Shadows, empty_weights, tensors_in

SIDE = 80
"""A square of it is more than KEPT."""
PROGRAMS = {
    "a strided view": lambda x: x.t()[3:7].contiguous(),
    "in place": lambda x: x.mul_(2).relu_(),
    "written out": lambda x: torch.mm(x, x, out=x.new_empty(SIDE, SIDE)),
    "parts": lambda x: torch.cat(x.chunk(4), 1),
    "another type": lambda x: x.to(torch.bfloat16) @ x.to(torch.bfloat16),
    "a picture": lambda x: F.conv2d(x.view(1, 20, 8, 40).permute(0, 3, 1, 2), torch.ones(400, 1, 3, 3), groups=40),
    "attention": lambda x: F.scaled_dot_product_attention(*[x.view(1, 4, 20, SIDE)] * 3),
    "promotion": lambda x: x * torch.tensor(2.0, dtype=torch.float64) + torch.ones(SIDE, dtype=torch.float64),
    "several results": lambda x: torch.native_layer_norm(x, [SIDE], None, None, 1e-5)[2],
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_shadow_has_the_shape_strides_and_type_of_the_result(name):
    real = PROGRAMS[name](torch.ones(SIDE, SIDE))
    with Shadows():
        shadow = PROGRAMS[name](torch.ones(SIDE, SIDE))
    assert isinstance(shadow, Shadow)
    assert (shadow.shape, shadow.stride(), shadow.dtype, shadow.device) == (real.shape, real.stride(), real.dtype, real.device)
    assert shadow.meta.shape == shadow.shape


def test_what_is_small_is_computed_and_what_is_looked_at_in_a_shadow_is_zero():
    with Shadows():
        times = torch.linspace(1, 0, 5, dtype=torch.float64)
        assert (times**2).tolist() == [1.0, 0.5625, 0.25, 0.0625, 0.0]
        large = torch.ones(KEPT + 1)
        assert not bool(large.all())
        assert large.sum().item() == 0.0
        assert large.unique().tolist() == [0.0]
    picture = torch.ones(KEPT + 1)
    with Shadows():
        assert picture.min().item() == 1.0  # real pictures answer for themselves
        assert isinstance(2 * picture, Shadow)


def test_gradients_have_shapes_and_modules_can_be_cast():
    before = torch.__future__.get_overwrite_module_params_on_conversion()
    with Shadows():
        layer = nn.Linear(SIDE, SIDE)
        empty_weights(layer)
        layer(torch.ones(SIDE, SIDE)).sum().backward()
        assert layer.weight.grad.shape == (SIDE, SIDE)
        layer.zero_grad()
        layer = layer.to(torch.bfloat16)
        assert layer(torch.ones(SIDE, SIDE, dtype=torch.bfloat16)).dtype == torch.bfloat16
    assert torch.__future__.get_overwrite_module_params_on_conversion() is before


@given(st.lists(st.integers(1, 9000), min_size=1, max_size=6), st.booleans())
def test_the_peak_of_what_was_alive_at_one_time_is_counted_in_storages(counts, kept):
    memory = Memory()
    alive = []
    with Shadows(lambda operation, arguments, inputs, out: [memory.piece(tensor) for tensor in tensors_in(out)]):
        for count in counts:
            if not kept:
                alive.clear()
            alive.append(torch.empty(count))
            alive.append(alive[-1][: count // 2])  # a view is no memory
    assert memory.peak == 4 * (sum(counts) if kept else max(counts))
    alive.clear()
    assert memory.live == 0
