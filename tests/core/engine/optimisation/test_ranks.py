"""Two ranks: one bad number anywhere, and both do the same and say the same."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from mmengine.dist import get_rank
from mmengine.logging import MessageHub
from torch import Tensor, nn

from linearsr.core.engine import PrecisionOptimWrapper, ReplicatedModel, ShardedModel
from linearsr.core.engine.checkpoints.contents import plain
from linearsr.core.engine.optimisation import Diverged
from linearsr.core.engine.optimisation.blame import find_cause
from tests.core.engine.distributed.models import pictures, share, small_model
from tests.core.engine.distributed.ranks import on_ranks
from tests.core.engine.optimisation.toys import logged

WRAPPERS: dict[str, Callable[[nn.Module], nn.Module]] = {"replicated": ReplicatedModel, "sharded": ShardedModel}
CLIP = {"max_norm": 0.05}
ROUNDING = 1e-5
"""Relative. Two means of two pictures are averaged where one process takes the mean of four; three steps of float32."""


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in plain(model.state_dict()).items()}


def good_and_bad_steps(kind: str, dtype: str) -> dict[str, Any]:
    model = small_model().train()
    wrapped = WRAPPERS[kind](model)
    own = PrecisionOptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1), dtype=dtype, accumulative_counts=2, clip_grad=CLIP)
    own.initialize_count_status(wrapped, 0, 100)
    found: dict[str, Any] = {"texts": [], "unchanged": [], "here": []}
    for number in range(2):
        wrapped.train_step(share(pictures(number), get_rank(), 2), own)
    found["norm"] = logged("grad_norm")
    found["first"] = weights(model)
    for bad in ("hr", "loss", "gradient"):
        before = weights(model)
        handles = []
        batch = copy.deepcopy(share(pictures(7), get_rank(), 2))
        if get_rank() == 1 and bad == "hr":
            batch["hr"][0, 0, 0, 0] = float("nan")
        if get_rank() == 1 and bad == "loss":
            handles.append(model.denoiser.head.register_forward_hook(lambda m, i, output: output * float("nan")))
        if get_rank() == 1 and bad == "gradient":
            handles.append(model.denoiser.head.register_forward_hook(spoil_gradient))
        if bad == "gradient":  # it is looked at where the step is due
            wrapped.train_step(share(pictures(7), get_rank(), 2), own)
        try:
            wrapped.train_step(batch, own)
        except Diverged as event:
            cause = find_cause(event, model, batch, own)
            own.abandon()
            found["here"].append(event.here)
            found["texts"].append(cause.text)
        for handle in handles:
            handle.remove()
        if not own.at_boundary():
            wrapped.train_step(share(pictures(8), get_rank(), 2), own)
        after = weights(model)
        found["unchanged"].append(all(torch.equal(before[name], after[name]) for name in before))
    for number in range(2, 4):
        wrapped.train_step(share(pictures(number), get_rank(), 2), own)
    found["last"] = weights(model)
    return found


def spoil_gradient(module: nn.Module, inputs: Any, output: Tensor) -> None:
    if output.requires_grad:
        output.register_hook(lambda gradient: gradient * float("inf"))


def one_process() -> tuple[list[float], dict[str, Tensor]]:
    """The good steps alone."""
    MessageHub.get_current_instance().log_scalars.clear()
    model = small_model().train()
    own = PrecisionOptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1), accumulative_counts=2, clip_grad=CLIP)
    own.initialize_count_status(model, 0, 100)
    for number in range(4):
        model.train_step(pictures(number), own)
    return logged("grad_norm"), weights(model)


@pytest.mark.filterwarnings("ignore:Grad strides do not match bucket view strides")  # costs a copy, says torch
@pytest.mark.parametrize("kind", WRAPPERS)
def test_both_ranks_refuse_the_same_steps_and_take_the_same_others(kind: str) -> None:
    first, second = on_ranks(good_and_bad_steps, kind, "float32")
    assert first["texts"] == second["texts"]
    data, module, gradient = first["texts"]
    assert data.startswith("the loss is not finite (nan) on rank 1: the data: hr of sample 0 of the batch")
    assert "on rank 1: first in denoiser.head (Linear)" in module
    assert "on rank 1: the first gradient that is not finite is that of denoiser." in gradient
    assert "down to the output of denoiser (" in gradient
    assert "and not at the output of denoiser.head (Linear)" in gradient
    assert (first["here"], second["here"]) == ([False, False, True], [True, True, True])
    assert first["unchanged"] == second["unchanged"] == [True, True, True]
    norms, last = one_process()
    assert first["norm"] == second["norm"] == pytest.approx(norms[:1], rel=ROUNDING)
    for name, weight in last.items():
        assert torch.equal(first["last"][name], second["last"][name])
        torch.testing.assert_close(first["last"][name], weight, rtol=ROUNDING, atol=1e-7)


@pytest.mark.slow
def test_bfloat16_trains_a_sharded_denoiser() -> None:
    first, second = on_ranks(good_and_bad_steps, "sharded", "bfloat16")
    assert first["texts"] == second["texts"]
    assert len(first["texts"]) == 3
    assert all(torch.equal(first["last"][name], second["last"][name]) for name in first["last"])
