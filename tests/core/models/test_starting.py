"""Weights that a model begins with: its own kind's, or a dense model's for every expert."""

import copy

import pytest
import torch

from linearsr.core.errors import WeightsError
from linearsr.core.models.starting import start_from
from linearsr.core.registries import MODELS
from tests.core.models.guided_models import DENOISER as EXPERT

MIXTURE = {"type": "ExpertMixture", "router": {"type": "UniformRouter", "num_experts": 2}, "expert": EXPERT}


def model(denoiser, seed=0):
    torch.manual_seed(seed)
    return MODELS.build(
        {"type": "LinearSR", "upscale": 2, "autoencoder": {"type": "ResidualPixelShuffle", "factor": 2}, "denoiser": denoiser,
         "path": {"type": "RectifiedFlow"}, "time_sampler": {"type": "UniformTimes"}, "time_grid": {"type": "UniformGrid"},
         "solver": {"type": "Euler"}}
    )  # fmt: skip


def test_every_expert_begins_as_the_dense_model():
    dense, mixture = model(EXPERT), model(MIXTURE, seed=1)
    start_from(mixture, dense.state_dict(), "dense.pth")
    lr = torch.rand(2, 3, 8, 10)
    # an expert prepares its own times alone, and products differ by batch size, in the last bits
    assert (mixture.restore(lr, 4) - dense.restore(lr, 4)).abs().max() < 5e-6


@pytest.mark.parametrize("denoiser", [EXPERT, MIXTURE], ids=["dense", "mixture"])
def test_a_model_of_the_same_kind_is_loaded_as_it_is(denoiser):
    one, other = model(denoiser), model(denoiser, seed=1)
    start_from(other, one.state_dict(), "one.pth")
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


@pytest.mark.parametrize("harm", ["missing", "surplus", "beside"])
@pytest.mark.parametrize("denoiser", [EXPERT, MIXTURE], ids=["dense", "mixture"])
def test_weights_that_do_not_fit_are_refused_and_nothing_changes(denoiser, harm):
    state, mine = model(EXPERT).state_dict(), model(denoiser, seed=1)
    if harm == "missing":
        state.pop("denoiser.blocks.0.attention.qkv.weight")
    else:
        state["denoiser.odd.weight" if harm == "surplus" else "odd.weight"] = torch.zeros(2)
    before = copy.deepcopy(mine.state_dict())
    with pytest.raises(WeightsError, match=r"odd\.pth does not fit"):
        start_from(mine, state, "odd.pth")
    assert all(torch.equal(a, b) for a, b in zip(before.values(), mine.state_dict().values(), strict=True))


def test_a_mixture_is_no_start_for_a_dense_model():
    with pytest.raises(WeightsError, match="unexpected"):
        start_from(model(EXPERT), model(MIXTURE).state_dict(), "mixture.pth")
