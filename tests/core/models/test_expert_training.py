"""Which expert a training picture is for, and what its error counts."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from linearsr.core.errors import ConfigError
from linearsr.core.models import LinearSR
from linearsr.core.models.expert_training import ExpertTraining
from linearsr.core.randomness import generator
from linearsr.core.registries import ROUTERS, TIME_SAMPLERS
from linearsr.core.structures import SRBatch
from tests.core.models.test_linear_sr import DENOISER, model
from tests.strategies import normal, seeds

SRC = {"type": "SNRRouter"}
MIXTURE = {"type": "ExpertMixture", "router": SRC, "expert": {"type": DENOISER, "zero": False}}
SAMPLER = {"type": "LogitNormalTimes", "shift": 3.0}


def training(shares=None, loss_weights=None, sampler=SAMPLER):
    return ExpertTraining(TIME_SAMPLERS.build(sampler), ROUTERS.build(SRC), 4, shares, loss_weights)


def mixture(**changes) -> LinearSR:
    return model(denoiser=MIXTURE, time_sampler=SAMPLER, **changes)


def pictures(seed, size):
    hr = (normal(seed, size, 3, 16, 16, dtype=torch.float32) / 4 + 0.5).clamp(0, 1)
    return SRBatch(hr[..., ::4, ::4].contiguous(), tuple(range(seed, seed + size)), hr)


def served(t):
    return ROUTERS.build(SRC).route(t)


@given(st.lists(st.sampled_from([0, 0, 1, 2.5]), min_size=4, max_size=4).filter(any), seeds)
def test_experts_are_drawn_in_their_shares_and_those_of_share_0_never(shares, seed):
    drawn = served(training(shares).sample(400, generator(seed))).bincount(minlength=4) / 400
    wanted = torch.tensor(shares, dtype=torch.float64) / sum(shares)
    assert not drawn[wanted == 0].any()
    # five standard deviations of a share of 400 draws, at most 0.025 each
    assert (drawn - wanted).abs().max() < 5 * 0.025


def test_inside_an_expert_times_are_as_the_sampler_draws_them_there():
    """The same uniform numbers give the same times: after the one that chose the expert."""
    sampler = TIME_SAMPLERS.build(SAMPLER)
    for expert, interval in enumerate(ROUTERS.build(SRC).interval(k) for k in range(4)):
        shares = [float(k == expert) for k in range(4)]
        draw = generator(expert)
        torch.rand(1, generator=draw, dtype=torch.float64)
        assert torch.equal(training(shares).sample(1, generator(expert)), sampler.sample(1, draw, interval=interval))


def test_without_shares_a_mixture_draws_the_times_of_a_dense_model():
    batch = pictures(0, 6)
    z0 = torch.zeros(6, 48, 4, 4)
    for got, want in zip(mixture()._draw(z0, batch.seeds), model(time_sampler=SAMPLER)._draw(z0, batch.seeds), strict=True):
        assert torch.equal(got, want)


@given(seeds, st.integers(1, 5), st.permutations(range(6)))
def test_a_pictures_time_and_noise_depend_on_its_seed_alone(seed, size, order):
    method = mixture(expert_shares=[1, 1, 1, 1])
    z0, own = torch.zeros(6, 48, 4, 4), list(range(seed, seed + 6))
    t, z1 = method._draw(z0, own)
    shuffled = method._draw(z0, [own[i] for i in order])
    assert torch.equal(shuffled[0], t[list(order)])
    assert torch.equal(shuffled[1], z1[list(order)])
    fewer = method._draw(z0[:size], own[:size])
    assert torch.equal(fewer[0], t[:size])


@given(st.lists(st.floats(0.01, 4), min_size=1, max_size=12), st.data())
def test_shares_of_the_error_over_shares_of_the_pictures_are_mean_errors(errors, data):
    experts = torch.tensor(data.draw(st.lists(st.integers(0, 3), min_size=len(errors), max_size=len(errors))))
    found = training().losses(torch.tensor(errors, dtype=torch.float64), experts)
    assert sum(float(found[f"expert_{k}/share"]) for k in range(4)) == pytest.approx(1)
    assert sum(float(found[f"expert_{k}/error"]) for k in range(4)) == pytest.approx(float(found["loss"]))
    for k in range(4):
        own = [error for error, expert in zip(errors, experts.tolist(), strict=True) if expert == k]
        if own:
            assert float(found[f"expert_{k}/error"] / found[f"expert_{k}/share"]) == pytest.approx(sum(own) / len(own))


def test_the_loss_of_a_mixture_is_the_velocitys_mean_squared_error():
    batch = pictures(3, 4)
    method, plain = mixture(), model(denoiser={"type": DENOISER, "zero": False}, time_sampler=SAMPLER)
    method.denoiser.upcycle(plain.denoiser.state_dict())
    assert method.loss(batch)["loss"].item() == pytest.approx(plain.loss(batch)["loss"].item(), rel=1e-5)  # float32 sums


def test_loss_weights_scale_each_experts_gradient_by_its_own():
    batch, weights = pictures(5, 6), [2.0, 0.5, 0.0, 3.0]
    gradients = []
    for chosen in (None, weights):
        method = mixture(expert_shares=[1, 1, 1, 1], expert_loss_weights=chosen)
        method.loss(batch)["loss"].backward()
        gradients.append([expert.net.weight.grad for expert in method.denoiser.experts])
    for plain, weighted, weight in zip(*gradients, weights, strict=True):
        assert (plain is None) == (weighted is None)
        if plain is not None:
            assert (weighted - weight * plain).abs().max() <= 1e-5 * plain.abs().max()  # float32 sums


def test_importance_weights_give_the_samplers_own_mean_back():
    """p/q over stratified draws: both means estimate the same number."""
    times = TIME_SAMPLERS.build(SAMPLER).sample(20_000, generator(0))
    natural = served(times).bincount(minlength=4) / len(times)
    stratified = training([1, 1, 1, 1], (natural / 0.25).tolist())
    t = stratified.sample(4000, generator(1))
    estimate = stratified.losses(t.square(), served(t))["loss"]
    # four standard deviations of the 4000 draws: t² ≤ 1, weights ≤ 3.2, so of at most 3.2·0.3/√4000 each
    assert float(estimate) == pytest.approx(float(times.square().mean()), abs=0.06)


def test_one_expert_alone_is_a_job_on_its_interval():
    method = mixture(expert_shares=[0, 0, 1, 0])
    found = method.loss(pictures(0, 5))
    assert [float(found[f"expert_{k}/share"]) for k in range(4)] == [0, 0, 1, 0]
    found["loss"].backward()
    assert [expert.net.weight.grad is not None for expert in method.denoiser.experts] == [False, False, True, False]


@pytest.mark.parametrize("key", ["expert_shares", "expert_loss_weights"])
@pytest.mark.parametrize("numbers", [[1, 1], [1, 1, -1, 1], [0, 0, 0, 0], [1, 1, float("nan"), 1], []])
def test_numbers_that_say_nothing_are_refused(key, numbers):
    with pytest.raises(ConfigError, match=rf"model\.{key} is .*wanted 4 numbers"):
        mixture(**{key: numbers})


@pytest.mark.parametrize(("key", "value"), [("expert_shares", [1.0]), ("expert_loss_weights", [1.0]), ("expert_balance", 0.01)])
def test_a_dense_model_has_no_experts_to_share(key, value):
    with pytest.raises(ConfigError, match=rf"model\.{key} is set, but model\.denoiser has no experts"):
        model(**{key: value})


def test_an_expert_without_times_cannot_be_trained():
    only_noise = {"type": "EndWeightedTimes", "p_end": 1.0}
    with pytest.raises(ConfigError, match=r"trains expert 0, which serves 0\.0 ≤ t < 0\.223.*no probability"):
        training([1, 0, 0, 1], sampler=only_noise)
    assert training([0, 0, 0, 1], sampler=only_noise).sample(3, generator(0)).tolist() == [1, 1, 1]


def test_a_router_that_looks_at_more_than_time_has_no_intervals():
    learned = {"type": "ExpertMixture", "router": {"type": "LearnedRouter"}, "expert": {"type": DENOISER}}
    with pytest.raises(ConfigError, match="looks at more than t"):
        model(denoiser=learned, expert_shares=[1, 1, 1, 1])


LEARNED = {"type": "ExpertMixture", "router": {"type": "LearnedRouter"}, "expert": {"type": DENOISER, "zero": False}}


def test_a_router_that_learns_is_moved_by_the_velocity_and_by_the_balance():
    batch, slopes = pictures(0, 4), []
    for balance in (None, 0.5):
        method = model(denoiser=LEARNED, time_sampler=SAMPLER, expert_balance=balance).train()
        found = method.loss(batch)
        assert ("loss_balance" in found) == (balance is not None)
        sum(value for name, value in found.items() if "loss" in name).backward()
        slopes.append(method.denoiser.router.gate[-1].weight.grad)
    assert slopes[0].abs().max() > 0
    assert not torch.equal(*slopes)


def test_the_balance_of_equal_weights_is_its_factor():
    """However the pictures are routed: Σ_k f_k · 1/K · K = 1."""

    class Equal:
        def weights(self, t, features):
            return torch.full((len(t), 4), 0.25)

    denoiser = mixture().denoiser
    denoiser.router = Equal()
    denoiser.router.depends_on_time_only = True
    training = ExpertTraining(TIME_SAMPLERS.build(SAMPLER), ROUTERS.build({"type": "LearnedRouter"}), 4, balance=0.3)
    assert training.balance_loss(denoiser, torch.rand(5), torch.zeros(5, 3, 4, 4))["loss_balance"].item() == pytest.approx(0.3)


@pytest.mark.parametrize(("denoiser", "balance"), [(MIXTURE, 0.01), (LEARNED, 0.0), (LEARNED, -1.0)])
def test_a_balance_without_a_router_that_learns_is_refused(denoiser, balance):
    with pytest.raises(ConfigError, match=r"model\.expert_balance is .*a router that learns"):
        model(denoiser=denoiser, expert_balance=balance)
