"""What attention layers say of themselves is what a dense computation in float64 finds, on one rank and on two."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmengine.dist import get_rank
from torch import Tensor, nn

from linearsr.attention import (
    ELULinearAttention,
    FocusedLinearAttention,
    HedgehogAttention,
    ReLULinearAttention,
    SoftmaxAttention,
)
from linearsr.attention.feature_map import extremes
from linearsr.attention.functional import sum_state
from linearsr.core.engine import PrecisionOptimWrapper, ReplicatedModel, ShardedModel
from linearsr.core.engine.optimisation import Diverged
from linearsr.core.engine.optimisation.alarms import denominator_alarm, growth, growth_alarm, state_alarm
from linearsr.core.engine.optimisation.divergence import Alarm, raise_alarm
from linearsr.core.engine.optimisation.vital_signs import query_key_norms, read_signs
from tests.core.engine.distributed.models import pictures, share, small_model
from tests.core.engine.distributed.ranks import on_ranks
from tests.strategies import normal, seeds

FAMILY = [ReLULinearAttention, ELULinearAttention, FocusedLinearAttention, HedgehogAttention]
FLOAT64 = 1e-12
"""Relative: sums of some hundred products in another order."""
FLOAT32 = 1e-5
"""Relative: the same in training's float32, with the whole network before it."""


@torch.no_grad()
def dense(layer: Any, x: Tensor, grid: tuple[int, int]) -> tuple[float, float]:
    """x in float64, with every denominator and state laid out."""
    q, k, v = layer.split(x, grid)
    of_queries, of_keys = layer.query_features(q), layer.key_features(k)
    denominators = (of_queries.unsqueeze(3) * of_keys.unsqueeze(2)).sum(-1).mean(-1).flatten().tolist()
    values = torch.cat([v, torch.ones_like(v[..., :1])], -1)
    state = (of_keys.unsqueeze(-1) * values.unsqueeze(-2)).mean(2)
    return min((d for d in denominators if d != 0), default=math.inf), float(state.abs().max())


@pytest.mark.parametrize("kind", FAMILY)
@given(seeds, st.integers(1, 5), st.integers(1, 5), st.booleans())
def test_signs_of_the_feature_map_family_are_those_of_the_dense_form(
    kind: type[nn.Module], seed: int, height: int, width: int, qk_norm: bool
) -> None:
    torch.manual_seed(seed)
    layer = kind(8, 2, qk_norm=qk_norm).double()
    x = normal(seed, 2, height * width, 8)
    got = [float(value) for value in layer.vital_signs(x, (height, width))]
    assert got == pytest.approx(dense(layer, x, (height, width)), rel=FLOAT64)


@given(seeds, st.sampled_from([8, 12]))
def test_norms_are_those_of_the_thirds_in_float64_or_of_the_gains_that_replace_them(seed: int, dim: int) -> None:
    torch.manual_seed(seed)
    layer = SoftmaxAttention(dim, 2)
    thirds = layer.qkv.weight.detach().double().view(3, -1).square().sum(1).sqrt().tolist()
    assert [float(norm) for norm in layer.query_key_norms()] == pytest.approx(thirds[:2], rel=FLOAT64)
    normed = SoftmaxAttention(dim, 2, qk_norm=True)
    nn.init.normal_(normed.k_norm.weight)
    want = [dim**0.5, float(normed.k_norm.weight.detach().double().square().sum().sqrt())]
    assert [float(norm) for norm in normed.query_key_norms()] == pytest.approx(want, rel=FLOAT64)


def test_dead_rows_are_passed_over_and_numbers_that_are_none_are_not() -> None:
    k, v = normal(0, 1, 1, 5, 3).abs(), normal(1, 1, 1, 5, 2)
    q = normal(2, 1, 1, 4, 3).abs()
    q[..., 0, :] = 0
    smallest, _ = extremes(q, sum_state(k, v))
    assert float(smallest) == pytest.approx(float((q[..., 1:, :] @ k.mT).mean(-1).min()), rel=FLOAT64)
    assert math.isinf(extremes(0 * q, sum_state(k, v))[0])
    q[..., 1, 0] = math.nan
    assert math.isnan(extremes(q, sum_state(k, v))[0])
    assert math.isnan(extremes(q, sum_state(k, v * math.nan))[1])


def wrapper(model: nn.Module, **options: Any) -> PrecisionOptimWrapper:
    own = PrecisionOptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1), **options)
    own.initialize_count_status(model, 0, 100)
    return own


def test_reading_sees_the_training_batch_and_changes_nothing() -> None:
    model = small_model().train()
    own = wrapper(model, accumulative_counts=2)
    model.train_step(pictures(0), own)
    before = {
        name: (tensor.clone(), tensor.grad.clone()) for name, tensor in model.named_parameters() if tensor.grad is not None
    }
    draws = torch.get_rng_state()
    inputs: dict[str, Tensor] = {}
    for index, block in enumerate(model.denoiser.blocks):
        block.attention.register_forward_pre_hook(
            lambda _, args, i=index: inputs.update({f"denoiser.blocks.{i}.attention": args[0]})
        )
    signs = read_signs(model, pictures(0), own)
    assert signs.keys() == inputs.keys()
    for name, x in inputs.items():
        assert signs[name] == pytest.approx(dense(model.get_submodule(name).double(), x.double(), (8, 8)), rel=FLOAT32)
        model.get_submodule(name).float()
        assert len(model.get_submodule(name)._forward_pre_hooks) == 1  # the test's own
    for name, (tensor, gradient) in before.items():
        parameter = model.get_parameter(name)
        assert torch.equal(parameter, tensor)
        assert torch.equal(parameter.grad, gradient)
    assert torch.equal(torch.get_rng_state(), draws)
    assert model.training
    assert not own.at_boundary()


def test_layers_without_the_methods_are_passed_over() -> None:
    model = small_model(attention={"type": "SoftmaxAttention"})
    assert read_signs(model, pictures(0), wrapper(model)) == {}
    assert list(query_key_norms(model)) == ["denoiser.blocks.0.attention", "denoiser.blocks.1.attention"]
    assert query_key_norms(nn.Sequential(nn.Linear(3, 3))) == {}


def test_limits_are_met_from_the_right_side_and_what_is_no_number_meets_none() -> None:
    first = {"a": [2.0, 4.0], "b": [1.0, 0.0]}
    grown = growth({"a": [4.0, 20.0], "b": [1.0, 7.0], "new": [9.0, 9.0]}, first)
    assert grown == {("a", "|W_q|"): 2.0, ("a", "|W_k|"): 5.0, ("b", "|W_q|"): 1.0}
    assert growth_alarm(grown, 5.0) is None
    found = growth_alarm(grown, 4.9)
    assert found is not None
    assert (found.layer, found.figure, found.limit, found.text.split()[0]) == ("a", 5.0, 4.9, "|W_k|")
    assert denominator_alarm({"a": 1.0, "b": 2.0}, 1.0) is None
    assert state_alarm({"a": 1.0, "b": 2.0}, 2.0) is None
    for alarm in (denominator_alarm, state_alarm):
        found = alarm({"a": 1.0, "b": math.nan}, 1.0)
        assert found is not None
        assert found.layer == "b"


def steps_and_signs() -> list[dict[str, Any]]:
    return [_steps_and_signs(kind) for kind in (ReplicatedModel, ShardedModel)]


def _steps_and_signs(kind: Any) -> dict[str, Any]:
    model = small_model().train()
    wrapped = kind(model)
    own = wrapper(wrapped, accumulative_counts=2)
    found: dict[str, Any] = {"signs": [], "norms": []}
    for number in range(4):
        batch = share(pictures(number), get_rank(), 2)
        wrapped.train_step(batch, own)
        found["signs"].append(read_signs(model, batch, own))
        found["norms"].append(query_key_norms(model))
    found["texts"] = []
    for alarms in (
        (Alarm("state", 2, 1, "of rank 1") if get_rank() else None,),
        (None, Alarm("state", 2, 1, f"of {get_rank()}")),
    ):
        try:
            raise_alarm(*alarms)
        except Diverged as event:
            found["texts"].append(str(event).split(";")[0])
    raise_alarm(None, None)
    return found


@pytest.mark.filterwarnings("ignore:Grad strides do not match bucket view strides")  # costs a copy, says torch
@pytest.mark.slow
def test_two_ranks_read_what_one_process_does_and_raise_the_same_alarm() -> None:
    first, second = on_ranks(steps_and_signs)
    assert first == second
    model = small_model().train()
    own = wrapper(model, accumulative_counts=2)
    for number in range(4):
        model.train_step(pictures(number), own)
        for name, signs in read_signs(model, pictures(number), own).items():
            assert [kind["signs"][number][name] for kind in first] == [pytest.approx(signs, rel=FLOAT32)] * 2
        for name, norms in query_key_norms(model).items():
            assert [kind["norms"][number][name] for kind in first] == [pytest.approx(norms, rel=FLOAT32)] * 2
    assert [kind["texts"] for kind in first] == [["of rank 1", "of 0"]] * 2
