"""Steps by hand: accumulation, precision, the loss scale, and none where a number is not finite."""

import copy
from itertools import pairwise
from typing import Any

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.optim import OptimWrapper
from torch import Tensor, nn

from linearsr.core.engine.optimisation import Diverged, PrecisionOptimWrapper
from linearsr.core.errors import ConfigError
from tests.core.engine.optimisation.toys import logged, network, rows, step, wrapper


def weights(model: nn.Module) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in model.parameters()]


def equal(one: list[Tensor], two: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def test_in_float32_every_step_is_mmengines() -> None:
    ours, theirs = network(), network()
    own = PrecisionOptimWrapper(torch.optim.AdamW(ours.parameters()), accumulative_counts=2, clip_grad={"max_norm": 0.1})
    reference = OptimWrapper(torch.optim.AdamW(theirs.parameters()), accumulative_counts=2, clip_grad={"max_norm": 0.1})
    for one, model in ((own, ours), (reference, theirs)):
        one.initialize_count_status(model, 0, 7)
    for number in range(7):
        step(ours, own, *rows(4, number))
        x, y = rows(4, number)
        with reference.optim_context(theirs):
            loss = (theirs(x) - y).square().mean()
        reference.update_params(loss)
    assert equal(weights(ours), weights(theirs))


@pytest.mark.parametrize("clip", [None, {"max_norm": 0.05}])
def test_accumulated_batches_make_the_step_of_one_large_batch(clip: dict[str, Any] | None) -> None:
    """Also the last step, which is made of fewer."""
    parts, whole = network(torch.float64), network(torch.float64)
    small = wrapper(parts, accumulative_counts=3, clip_grad=clip)
    small.initialize_count_status(parts, 0, 5)
    large = wrapper(whole, clip_grad=clip)
    x, y = rows(20, dtype=torch.float64)
    for number in range(5):
        step(parts, small, x[4 * number :][:4], y[4 * number :][:4])
        assert small.at_boundary() is (number in (2, 4))
    step(whole, large, x[:12], y[:12])
    step(whole, large, x[12:], y[12:])
    assert small.steps == large.steps == 2
    for one, two in zip(weights(parts), weights(whole), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-12, atol=1e-14)  # float64 sums in another order


class Unsynchronised(nn.Linear):
    """Counts the forward passes after which ranks do not exchange gradients, as a data-parallel wrapper does."""

    def __init__(self) -> None:
        super().__init__(6, 3)
        self.silent: list[bool] = []
        self.quiet = False

    def no_sync(self) -> "Unsynchronised":
        return self

    def __enter__(self) -> None:
        self.quiet = True

    def __exit__(self, *_: object) -> None:
        self.quiet = False

    def forward(self, x: Tensor) -> Tensor:
        self.silent.append(self.quiet)
        return super().forward(x)


def test_ranks_exchange_gradients_at_the_step_alone() -> None:
    model = Unsynchronised()
    own = wrapper(model, accumulative_counts=3)
    own.initialize_count_status(model, 0, 5)
    for number in range(5):
        step(model, own, *rows(2, number))
    assert model.silent == [True, True, False, True, False]


@pytest.mark.parametrize("clip", [None, {"max_norm": 1e-3}, {"type": "value", "clip_value": 1e-3}])
def test_the_norm_before_clipping_is_published_with_every_step(clip: dict[str, Any] | None) -> None:
    model = network()
    x, y = rows(4)
    (model(x) - y).square().mean().backward()
    norm = torch.nn.utils.get_total_norm([p.grad for p in model.parameters() if p.grad is not None])
    model.zero_grad()
    own = wrapper(model, accumulative_counts=2, clip_grad=clip)
    for _ in range(4):
        step(model, own, x, y)
    assert len(logged("grad_norm")) == 2
    assert logged("grad_norm")[0] == pytest.approx(norm.item(), rel=1e-6)


class Types(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 3)
        self.seen: list[torch.dtype] = []

    def forward(self, x: Tensor) -> Tensor:
        out = self.linear(x)
        self.seen.append(out.dtype)
        return out


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_products_are_in_dtype_and_weights_gradients_and_states_in_float32(dtype: str) -> None:
    model = Types()
    own = PrecisionOptimWrapper(torch.optim.Adam(model.parameters()), dtype=dtype)
    before = weights(model)
    for _ in range(3):  # the scale of float16 begins too high for this one
        step(model, own, *rows(4))
    assert model.seen == 3 * [getattr(torch, dtype)]
    assert not equal(before, weights(model))
    moments = [value for state in own.optimizer.state.values() for value in state.values()]
    assert {tensor.dtype for tensor in [*weights(model), *moments]} == {torch.float32}
    model(rows(4)[0])  # outside a training step: validation
    assert model.seen[-1] is torch.float32


def test_float16_with_its_scale_takes_the_steps_of_float32() -> None:
    """Gradients of 1e-9 are 0 in float16; the scale brings them through."""
    models = {dtype: network() for dtype in ("float32", "float16")}
    moved = {}
    for dtype, model in models.items():
        scale = {"init_scale": 2.0**24} if dtype == "float16" else None
        own = wrapper(model, lr=1e6, dtype=dtype, loss_scale=scale)
        before = weights(model)
        with own.optim_context(model):
            loss = 1e-9 * model(rows(4)[0]).float().sum()
        own.update_params(loss)
        moved[dtype] = torch.cat([(a - b).flatten() for a, b in zip(before, weights(model), strict=True)])
    assert moved["float32"].abs().max() > 1e-4
    # float16 has 11 bits: each of the few products on the way is rounded by 2^-12
    assert (moved["float16"] - moved["float32"]).norm() < 2e-3 * moved["float32"].norm()


def test_an_overflow_takes_no_step_lowers_the_scale_and_is_counted() -> None:
    model = network()
    own = wrapper(model, dtype="float16", loss_scale={"init_scale": 2.0**30, "growth_interval": 2})
    before = weights(model)
    step(model, own, *rows(4))
    assert equal(before, weights(model))
    assert own.steps == 0
    assert MessageHub.get_current_instance().get_info("overflows") == 1
    for _ in range(30):
        step(model, own, *rows(4))
    assert own.steps > 0
    assert not equal(before, weights(model))
    scales = logged("loss_scale")
    assert scales[:2] == [2.0**30, 2.0**29]
    assert any(later > earlier for earlier, later in pairwise(scales))  # and it grows again
    assert "train/grad_norm" in MessageHub.get_current_instance().log_scalars
    assert all(torch.tensor(logged("grad_norm")).isfinite())


def test_an_overflow_at_the_lowest_scale_is_a_divergence() -> None:
    model = network()
    own = wrapper(model, dtype="float16", loss_scale={"init_scale": 16.0, "min_scale": 4.0})
    before = weights(model)
    for scale in (16.0, 8.0):
        spoil_gradient(model, own)
        assert logged("loss_scale")[-1] == scale
    with pytest.raises(Diverged, match="at a loss scale of 4"):
        spoil_gradient(model, own)
    own.abandon()
    assert equal(before, weights(model))
    step(model, own, *rows(4))  # and it can go on


def spoil_gradient(model: nn.Module, own: PrecisionOptimWrapper) -> None:
    x, y = rows(4)
    with own.optim_context(model):
        loss = (model(x).float() - y).square().mean()
    loss.register_hook(lambda gradient: gradient * float("inf"))
    own.update_params(loss)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_nothing_that_is_not_finite_reaches_weights_or_states(dtype: str, what: str) -> None:
    model = network()
    own = PrecisionOptimWrapper(torch.optim.Adam(model.parameters()), dtype=dtype)
    step(model, own, *rows(4))
    before, states = weights(model), copy.deepcopy(own.optimizer.state_dict())
    with pytest.raises(Diverged) as caught:
        spoil_gradient(model, own) if what == "gradient" else step(model, own, *(2e38 * part for part in rows(4)))
    own.abandon()
    assert caught.value.what == what
    assert caught.value.here
    assert equal(before, weights(model))
    torch.testing.assert_close(states, own.optimizer.state_dict(), rtol=0, atol=0)
    step(model, own, *rows(4))
    assert all(weight.isfinite().all() for weight in weights(model))
    assert not equal(before, weights(model))


def test_a_bad_batch_takes_its_whole_accumulated_step_with_it() -> None:
    model, twin = network(), network()
    own, reference = wrapper(model, accumulative_counts=3), wrapper(twin, accumulative_counts=3)
    before = weights(model)
    step(model, own, *rows(4))
    with pytest.raises(Diverged):
        step(model, own, *(2e38 * part for part in rows(4)))
    own.abandon()
    assert not own.at_boundary()
    step(model, own, *rows(4))
    assert own.at_boundary()
    assert equal(before, weights(model))
    for _ in range(3):
        step(model, own, *rows(4, 7))
        step(twin, reference, *rows(4, 7))
    assert equal(weights(model), weights(twin))


def test_the_scale_survives_a_checkpoint() -> None:
    model = network()
    own = wrapper(model, dtype="float16", loss_scale={"init_scale": 64.0, "growth_interval": 3})
    for _ in range(4):
        step(model, own, *rows(4))
    state = copy.deepcopy(own.state_dict())
    other = wrapper(network(), dtype="float16", loss_scale={"init_scale": 2.0, "growth_interval": 3})
    other.load_state_dict(state)
    assert other.state_dict()["loss_scaler"] == state["loss_scaler"]
    assert state["loss_scaler"]["scale"] == 128.0
    assert "loss_scaler" in state  # loading leaves what it was given alone
    step(other_model := network(), other_wrapper := wrapper(other_model, dtype="float16"), *rows(4))
    other_wrapper.load_state_dict(state)  # after the first step the scale lies on the device
    assert other_wrapper.state_dict()["loss_scaler"]["scale"] == 128.0


def test_a_run_goes_on_in_another_precision() -> None:
    model = network()
    half, full = wrapper(model, dtype="float16"), wrapper(model)
    step(model, half, *rows(4))
    full.load_state_dict(half.state_dict())
    assert "loss_scaler" not in full.state_dict()
    half.load_state_dict(full.state_dict())
    assert half.state_dict()["loss_scaler"]["scale"] == 65536.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "bfloat61"}, "optim_wrapper.dtype is 'bfloat61'; did you mean 'bfloat16'"),
        ({"dtype": "bfloat16", "loss_scale": {"init_scale": 2.0}}, "loss_scale is for dtype='float16'"),
        ({"dtype": "float16", "loss_scale": {"init_scal": 2.0}}, "did you mean 'init_scale'"),
        ({"dtype": "float16", "loss_scale": {"init_scale": 0}}, "loss_scale.init_scale is 0"),
        ({"dtype": "float16", "loss_scale": {"backoff_factor": 1.5}}, "backoff_factor < 1"),
        ({"accumulative_counts": 0}, "optim_wrapper.accumulative_counts is 0"),
        ({"clip_grad": {"max_norm": -1.0}}, "optim_wrapper.clip_grad"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        wrapper(network(), **options)
