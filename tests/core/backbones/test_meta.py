"""The denoiser on tensors of shape alone."""

import pytest
import torch

from linearsr.core.registries import ATTENTION
from tests.core.backbones.test_linear_dit import dit, question


@pytest.mark.parametrize("attention", ATTENTION.own())
@pytest.mark.parametrize("recording", [False, True])
def test_an_evaluation_and_the_way_back_have_the_shapes_and_types_that_they_have_on_a_cpu(attention, recording):
    model = dit(attention={"type": attention}, position_scale=1.0, dtype=torch.bfloat16)
    z, t, lr, words = question(dtype=torch.bfloat16)
    with torch.set_grad_enabled(recording):
        wanted = model(z, t, lr, words if recording else None)
        there = model.to("meta")
        out = there(z.to("meta"), t, lr.to("meta"), words.to("meta") if recording else None)
    assert (out.shape, out.dtype, out.device.type) == (wanted.shape, wanted.dtype, "meta")
    if recording:
        out.float().square().mean().backward()
        assert all(parameter.grad.shape == parameter.shape for parameter in there.parameters())
