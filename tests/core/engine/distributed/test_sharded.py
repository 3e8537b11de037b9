"""A denoiser in pieces on two ranks computes what a whole one does, and is saved and loaded as a whole one."""

import copy
from typing import Any

import pytest
import torch
from mmengine.dist import get_rank
from mmengine.optim import OptimWrapper
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor

from linearsr.core.engine.checkpoints.contents import plain
from linearsr.core.engine.distributed import load_whole_states
from linearsr.core.engine.distributed.sharded import ShardedModel
from linearsr.core.errors import ConfigError
from linearsr.core.models import LinearSR, build_model
from tests.core.engine.distributed.models import DENOISER, MODEL, loss_of, pictures, share, small_model
from tests.core.engine.distributed.ranks import on_ranks

CLIP = 0.5
ROUNDING = 2e-6
"""Relative. Ranks average two means of two pictures where one process takes the mean of four: float32 sums in another order,
2^-24 = 6e-8 each, through forward, backward and a few steps of AdamW."""


def adamw(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=1e-3)


def whole_run(model: LinearSR, optimizer: torch.optim.Optimizer, steps: range, every: int = 1) -> list[float]:
    losses = []
    for step in steps:
        loss = loss_of(model, pictures(step))
        (loss / every).backward()
        losses.append(loss.item())
        if (step + 1) % every == 0:
            torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            optimizer.step()
            optimizer.zero_grad()
    return losses


def sharded_run(model: ShardedModel, wrapper: OptimWrapper, steps: range) -> list[float]:
    return [model.train_step(share(pictures(step), get_rank(), 2), wrapper)["loss"].item() for step in steps]


def in_pieces(every: int = 1, **denoiser: Any) -> tuple[ShardedModel, OptimWrapper]:
    model = ShardedModel(small_model(seed=get_rank(), **denoiser)).train()  # rank 0's weights are the ones to be cut
    optimizer = adamw(model)
    load_whole_states(optimizer)
    wrapper = OptimWrapper(optimizer, clip_grad={"max_norm": CLIP}, accumulative_counts=every)
    wrapper.initialize_count_status(model, 0, 100)
    return model, wrapper


def on_one_rank_of_two() -> dict[str, Any]:
    found: dict[str, Any] = {}
    model, wrapper = in_pieces()
    found["own"] = sum(p.to_local().numel() for p in model.parameters() if isinstance(p, DTensor))
    found["plain"] = [name for name, p in model.named_parameters() if not isinstance(p, DTensor)]
    found["units"] = sum(isinstance(part, FSDPModule) for part in model.modules())
    found["losses"] = sharded_run(model, wrapper, range(5))
    states = plain(model.module.state_dict()), plain(wrapper.optimizer.state_dict())
    found["model"], found["optimizer"] = copy.deepcopy(states)  # steps are counted in place
    found["restored"] = model.eval().test_step({key: pictures(9)[key] for key in ("lr", "seeds")} | labels())[0]["sr"]

    twin = copy.deepcopy(model.module)
    found["twin"] = copy.deepcopy(plain(twin.state_dict()))
    later = sharded_run(model.train(), wrapper, range(5, 7))
    found["twin afterwards"] = plain(twin.state_dict())

    model.module.load_state_dict(found["model"])
    wrapper.optimizer.load_state_dict(copy.deepcopy(found["optimizer"]))  # torch keeps what it is given
    found["later"], found["later once more"] = later, sharded_run(model, wrapper, range(5, 7))

    gathering, wrapper = in_pieces(every=2)
    found["gathered up"] = sharded_run(gathering, wrapper, range(1))
    found["sent at once"] = [name for name, p in gathering.named_parameters() if p.grad is not None]
    found["gathered up"] += sharded_run(gathering, wrapper, range(1, 6))
    found["computed again"] = sharded_run(*in_pieces(activation_checkpointing=True), range(3))
    return found


def labels() -> dict[str, list[str]]:
    return {"names": list("abcd"), "datasets": ["tiny"] * 4}


@pytest.fixture(scope="module")
def found() -> list[dict[str, Any]]:
    return on_ranks(on_one_rank_of_two)


@pytest.fixture(scope="module")
def reference() -> dict[str, Any]:
    model = small_model()
    optimizer = adamw(model)
    losses = whole_run(model, optimizer, range(5))
    state, moments = copy.deepcopy(model.state_dict()), copy.deepcopy(optimizer.state_dict())
    batch = pictures(9)
    return {
        "losses": losses, "model": state, "optimizer": moments,
        "restored": model.eval().restore(batch["lr"], 1, batch["seeds"])[0],
        "later": whole_run(model.train(), optimizer, range(5, 7)),
    }  # fmt: skip


def test_losses_are_those_of_one_process(found: list[dict], reference: dict) -> None:
    for own in found:
        assert own["losses"] == pytest.approx(reference["losses"], rel=ROUNDING)


def test_each_rank_keeps_half(found: list[dict]) -> None:
    whole = sum(p.numel() for p in small_model().denoiser.parameters())
    assert sum(own["own"] for own in found) == whole
    # pieces are rows; a weight of one or three rows cannot be halved
    assert all(abs(own["own"] - whole / 2) < 0.02 * whole for own in found)
    assert all(own["plain"] == [] for own in found)


def test_a_unit_is_let_go_by_itself(found: list[dict]) -> None:
    assert found[0]["units"] == 1 + 2 * 5  # the denoiser; attention, feed-forward and three of cross-attention in two blocks


def test_what_is_saved_is_what_one_process_saves(found: list[dict], reference: dict) -> None:
    for own in found:
        assert list(own["model"]) == list(reference["model"])
        for name, weight in reference["model"].items():
            assert type(own["model"][name]) is Tensor
            # AdamW divides by √v, which lifts rounding of a small gradient: up to a share of one step of 1e-3
            torch.testing.assert_close(own["model"][name], weight, rtol=1e-4, atol=2e-5)


def test_the_optimiser_is_saved_by_the_numbers_and_names_of_one_process(found: list[dict], reference: dict) -> None:
    for own in found:
        assert own["optimizer"]["param_groups"] == reference["optimizer"]["param_groups"]
        assert own["optimizer"]["state"].keys() == reference["optimizer"]["state"].keys()
        for number, state in reference["optimizer"]["state"].items():
            for name, value in state.items():
                torch.testing.assert_close(own["optimizer"]["state"][number][name], value, rtol=1e-3, atol=1e-6)


def test_a_saved_state_is_taken_up_again(found: list[dict], reference: dict) -> None:
    for own in found:
        assert own["later once more"] == own["later"]
        assert own["later"] == pytest.approx(reference["later"], rel=10 * ROUNDING)


def test_a_copy_for_averaging_is_one_of_its_own(found: list[dict]) -> None:
    for own in found:
        assert all(torch.equal(own["twin"][name], weight) for name, weight in own["model"].items())
        assert all(torch.equal(own["twin afterwards"][name], weight) for name, weight in own["twin"].items())


def test_a_picture_is_restored_as_by_one_process(found: list[dict], reference: dict) -> None:
    for own in found:
        torch.testing.assert_close(own["restored"], reference["restored"], rtol=0, atol=1e-4)


def test_gradients_gathered_up_over_two_steps_are_those_of_one_process(found: list[dict]) -> None:
    model = small_model()
    losses = whole_run(model, adamw(model), range(6), every=2)
    assert found[0]["gathered up"] == pytest.approx(losses, rel=ROUNDING)
    assert found[0]["sent at once"] == []


def test_blocks_computed_again_on_the_way_back_change_nothing(found: list[dict]) -> None:
    assert found[0]["computed again"] == pytest.approx(found[0]["losses"][:3], rel=1e-7)


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (
            {"denoiser": {"type": "ExpertMixture", "router": {"type": "SNRRouter"}, "expert": DENOISER}},
            {},
            "ExpertMixture routes",
        ),
        ({}, {"units": ["nothing"]}, r"units=\['nothing'\]: LinearDiT has no module of such a name"),
        ({}, {"units": []}, r"units=\[\]"),
    ],
)
def test_what_cannot_be_cut_is_refused(change: dict, options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ShardedModel(build_model(MODEL | change), **options)


def test_weights_outside_the_denoiser_that_are_trained_are_refused_by_name() -> None:
    model = small_model()
    model.add_module("extra", nn.Linear(2, 2))
    with pytest.raises(ConfigError, match=r"extra\.weight \(2 in all\) is trained too"):
        ShardedModel(model)
    with pytest.raises(ConfigError, match="Linear has none"):
        ShardedModel(nn.Linear(2, 2))
