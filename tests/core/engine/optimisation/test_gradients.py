"""The norm and the clipping of gradients are torch's."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from linearsr.core.engine.optimisation.gradients import Clipping, total_norm, with_gradient
from linearsr.core.errors import ConfigError


def parameters(seed: int, size: float = 1.0) -> list[nn.Parameter]:
    draws = torch.Generator().manual_seed(seed)
    made = [nn.Parameter(torch.zeros(shape)) for shape in ((3, 4), (7,), (2, 2, 2))]
    for parameter in made:
        parameter.grad = size * torch.randn(parameter.shape, generator=draws)
    return made


@given(st.integers(0, 10**6), st.sampled_from([1.0, 2.0, float("inf")]), st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
def test_clipping_by_norm_is_torchs_to_the_last_bit(seed: int, norm_type: float, size: float, limit: float) -> None:
    ours, theirs = parameters(seed, size), parameters(seed, size)
    norm = total_norm(ours, norm_type)
    Clipping({"max_norm": limit, "norm_type": norm_type}).apply(ours, norm)
    assert norm == torch.nn.utils.clip_grad_norm_(theirs, limit, norm_type)
    assert all(torch.equal(one.grad, two.grad) for one, two in zip(ours, theirs, strict=True))


def test_clipping_by_value_is_torchs() -> None:
    ours, theirs = parameters(0), parameters(0)
    Clipping({"type": "value", "clip_value": 0.3}).apply(ours, total_norm(ours))
    torch.nn.utils.clip_grad_value_(theirs, 0.3)
    assert all(torch.equal(one.grad, two.grad) for one, two in zip(ours, theirs, strict=True))
    assert max(float(one.grad.abs().max()) for one in ours) == pytest.approx(0.3)


def test_without_settings_gradients_stay_as_they_are() -> None:
    ours, untouched = parameters(0, 1e3), parameters(0, 1e3)
    Clipping(None).apply(ours, total_norm(ours))
    assert all(torch.equal(one.grad, two.grad) for one, two in zip(ours, untouched, strict=True))


def test_only_parameters_with_a_gradient_count() -> None:
    some = parameters(0)
    some[1].grad = None
    assert with_gradient([{"params": some[:2]}, {"params": some[2:]}]) == [some[0], some[2]]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"max_norm": 0},
        {"max_norm": None},
        {"max_norm": 1.0, "error_if_nonfinite": True},
        {"type": "value", "max_norm": 1.0},
    ],
)
def test_settings_that_clip_nothing_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"optim_wrapper\.clip_grad"):
        Clipping(settings)
