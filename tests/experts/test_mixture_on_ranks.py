"""Experts on several ranks: one batch, whoever holds which pictures of it."""

from typing import Any

import pytest
import torch
from mmengine.dist import get_rank, get_world_size

from linearsr.core.engine.distributed.wrapping import wrap
from linearsr.core.models import LinearSR, build_model
from tests.core.engine.distributed.models import DENOISER, MODEL, pictures, share
from tests.core.engine.distributed.ranks import on_ranks

STEPS = 4


def mixture(options: dict[str, Any]) -> LinearSR:
    torch.manual_seed(0)
    denoiser = {"type": "ExpertMixture", "router": {"type": "SNRRouter"}, "expert": DENOISER}
    return build_model(MODEL | {"denoiser": denoiser | options, "expert_shares": [1, 0, 0, 3]}).train()


def trained(options: dict[str, Any]) -> dict[str, torch.Tensor]:
    """After steps of one batch of four, of which each rank has its share; momentum and decay move whatever they may."""
    model = mixture(options)
    wrapped: Any = model if get_world_size() == 1 else wrap(model, None)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-2, momentum=0.9, weight_decay=0.1)
    for step in range(STEPS):
        optimizer.zero_grad()
        wrapped(**share(pictures(step), get_rank(), get_world_size()), mode="loss")["loss"].backward()
        optimizer.step()
    return model.state_dict()


def both(*kinds: dict[str, Any]) -> list[dict[str, torch.Tensor]]:
    return [trained(options) for options in kinds]


@pytest.mark.filterwarnings("ignore:Grad strides do not match bucket view strides")
def test_two_ranks_train_what_one_process_trains_and_leave_the_other_experts_alone() -> None:
    kinds: tuple[dict[str, Any], ...] = ({}, {"per_expert": ["*.feed_forward.*"]}, {"per_expert": ["*.attention.*"], "rank": 2})
    first, second = on_ranks(both, *kinds)
    for options, one, other in zip(kinds, first, second, strict=True):
        alone, before = trained(options), mixture(options).state_dict()
        for name, value in alone.items():
            assert torch.equal(one[name], other[name]), name
            assert (one[name] - value).abs().max() <= 1e-5 * value.abs().max() + 1e-7, name  # float32 sums in another order
            still = any(f"experts.{k}." in name for k in (1, 2))
            assert not still or torch.equal(one[name], before[name]), name
        moved = {
            name.split(".")[2] for name, value in one.items() if not torch.equal(value, before[name]) and ".experts." in name
        }
        assert moved == {"0", "3"}
