"""A mixture is its experts: nothing more where one works, nothing mixed up where several do."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from linearsr.core.errors import ConfigError, WeightsError
from linearsr.core.registries import DENOISERS, SOLVERS, TIME_GRIDS
from linearsr.core.structures import GuidanceTokens
from linearsr.experts import SNRRouter
from tests.experts.toy_denoiser import TOY
from tests.strategies import normal, seeds

SUPPLIED = {"latent_channels": 4, "latent_factor": 4, "upscale": 2, "guidance_width": 5, "log_snr": None}
MIXED = 5e-6
"""Of the largest output: float32 GEMMs and convolutions round differently by batch size."""


def make(seed=0):
    torch.manual_seed(seed)
    return DENOISERS.build({"type": "ExpertMixture", "router": {"type": "SNRRouter"}, "expert": {"type": TOY}}, **SUPPLIED)


def batch(seed, size):
    """z_t, lr and guidance of `size` pictures, each with words masked in its own way."""
    f32 = torch.float32
    mask = normal(seed + 3, size, 3) > 0
    return (
        normal(seed, size, 4, 3, 5, dtype=f32),
        normal(seed + 1, size, 3, 6, 10, dtype=f32),
        GuidanceTokens(normal(seed + 2, size, 3, 5, dtype=f32), mask),
    )


def of(lr, guidance, rows):
    return lr[rows], GuidanceTokens(guidance.tokens[rows], guidance.mask[rows])


def assert_close_to_scale(got, want):
    assert (got - want).abs().max() <= MIXED * want.abs().max()


@settings(max_examples=10)
@given(seeds, st.lists(st.floats(0, 1), min_size=2, max_size=9))
def test_a_mixed_batch_equals_picture_by_picture_and_any_order_of_it(seed, ts):
    mixture, t = make(), torch.tensor(ts, dtype=torch.float64)
    z, lr, guidance = batch(seed, len(t))
    together = mixture(z, t, lr, guidance)
    experts = mixture.router.route(t).tolist()
    alone = [mixture.experts[k](z[i : i + 1], t[i : i + 1], *of(lr, guidance, slice(i, i + 1))) for i, k in enumerate(experts)]
    assert_close_to_scale(together, torch.cat(alone))
    order = torch.randperm(len(t), generator=torch.Generator().manual_seed(seed))
    assert_close_to_scale(mixture(z[order], t[order], *of(lr, guidance, order)), together[order])


@pytest.mark.parametrize(("time", "expert"), [(0.0, 0), (0.5, 1), (0.9, 2), (1.0, 3)])
def test_one_expert_for_the_whole_batch_is_its_own_call_bit_for_bit(time, expert):
    mixture, t = make(), torch.full((3,), time, dtype=torch.float64)
    z, lr, guidance = batch(0, 3)
    own = mixture.experts[expert]
    assert torch.equal(mixture(z, t, lr, guidance), own(z, t, lr, guidance))
    prepared = mixture.prepare(lr, guidance, t[:1])
    assert torch.equal(mixture(z, t, None, None, prepared=prepared), own(z, t, lr, guidance))


@settings(max_examples=10)
@given(seeds, st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_up_cycled_experts_equal_the_dense_model(seed, ts):
    torch.manual_seed(1)
    dense = DENOISERS.build({"type": TOY}, **SUPPLIED)
    mixture, t = make(), torch.tensor(ts, dtype=torch.float64)
    z, lr, guidance = batch(seed, len(t))
    mixture.upcycle(dense.state_dict())
    assert_close_to_scale(mixture(z, t, lr, guidance), dense(z, t, lr, guidance))


@pytest.mark.parametrize("solver", ["Euler", "Heun"])
def test_a_sampling_run_of_identical_experts_is_the_dense_run_across_every_switch(solver):
    torch.manual_seed(1)
    dense = DENOISERS.build({"type": TOY}, **SUPPLIED)
    mixture = make()
    mixture.upcycle(dense.state_dict())
    z, lr, guidance = batch(0, 2)
    times, solve = TIME_GRIDS.build({"type": "ShiftedGrid"}).times(20), SOLVERS.build({"type": solver}).solve
    prepared = mixture.prepare(lr, guidance, times)
    got = solve(lambda z, t: mixture(z, t, None, None, prepared=prepared), z, times)
    assert torch.equal(got, solve(lambda z, t: dense(z, t, lr, guidance), z, times))


def test_up_cycled_experts_do_not_share_memory():
    mixture = make()
    mixture.upcycle(make(1).experts[0].state_dict())
    with torch.no_grad():
        mixture.experts[0].out.weight.add_(1)
    assert not torch.equal(mixture.experts[0].out.weight, mixture.experts[1].out.weight)


def test_an_expert_prepares_on_first_use_once_and_for_its_own_times_only():
    mixture, times = make(), torch.tensor([1, 0.95, 0.9, 0.5, 0.1, 0], dtype=torch.float64)
    z, lr, guidance = batch(0, 2)
    prepared = mixture.prepare(lr, guidance, times)
    assert prepared.by_expert == {}
    for time in (1.0, 0.95, 0.5):
        mixture(z, torch.full((2,), time, dtype=torch.float64), None, None, prepared=prepared)
    assert [expert.prepared_for for expert in mixture.experts] == [[], [[0.5]], [], [[1.0, 0.95]]]


def test_a_mixed_batch_of_prepared_pictures_equals_the_unprepared_one():
    mixture, t = make(), torch.tensor([0.1, 0.95, 0.5, 0.12], dtype=torch.float64)
    z, lr, guidance = batch(0, 4)
    prepared = mixture.prepare(lr, guidance, t)
    assert torch.equal(mixture(z, t, None, None, prepared=prepared), mixture(z, t, lr, guidance))


def test_prepared_is_frozen_and_not_to_be_mixed_with_pictures():
    mixture, t = make(), torch.ones(2, dtype=torch.float64)
    z, lr, guidance = batch(0, 2)
    prepared = mixture.prepare(lr, guidance)
    with pytest.raises(AttributeError):
        prepared.lr = None
    with pytest.raises(ConfigError, match="beside `prepared`"):
        mixture(z, t, lr, None, prepared=prepared)


def test_experts_that_saw_no_picture_get_no_gradient_and_the_others_their_own():
    mixture, t = make(), torch.tensor([0.1, 0.95, 0.15], dtype=torch.float64)
    z, lr, guidance = batch(0, 3)
    mixture(z, t, lr, guidance).square().sum().backward()
    for k in (1, 2):
        assert all(p.grad is None for p in mixture.experts[k].parameters())
    reference = make().experts
    rows = torch.tensor([0, 2])
    reference[0](z[rows], t[rows], *of(lr, guidance, rows)).square().sum().backward()
    for got, want in zip(mixture.experts[0].parameters(), reference[0].parameters(), strict=True):
        assert_close_to_scale(got.grad, want.grad)


def test_inactive_experts_do_not_move_under_adamw_although_they_have_momentum():
    mixture, everyone = make(), torch.tensor([0.1, 0.5, 0.9, 0.95], dtype=torch.float64)
    z, lr, guidance = batch(0, 4)
    optimizer = torch.optim.AdamW(mixture.parameters(), lr=1e-2, weight_decay=0.1)

    def step(t):
        optimizer.zero_grad()
        mixture(z, t, lr, guidance).square().mean().backward()
        optimizer.step()

    step(everyone)
    assert all("exp_avg" in optimizer.state[p] for p in mixture.parameters())
    before = copy.deepcopy(mixture.state_dict())
    for _ in range(3):
        step(torch.full((4,), 0.97, dtype=torch.float64))
    moved = {name.split(".")[1] for name, value in mixture.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {"3"}


def test_weights_of_another_model_are_refused_and_change_nothing():
    mixture = make()
    before = copy.deepcopy(mixture.state_dict())
    dense = make(1).experts[0].state_dict()
    dense.pop("out.bias")
    with pytest.raises(WeightsError, match=r"pretrain.pth .*out\.bias"):
        mixture.upcycle(dense, "pretrain.pth")
    assert all(torch.equal(value, before[name]) for name, value in mixture.state_dict().items())


def test_the_number_of_experts_and_the_patch_size_come_from_the_parts():
    cfg = {"type": "ExpertMixture", "router": {"type": "SNRRouter", "boundaries": [0.5]}, "expert": {"type": TOY, "width": 4}}
    mixture = DENOISERS.build(cfg, **SUPPLIED)
    assert (len(mixture.experts), mixture.patch_size) == (2, 2)
    assert mixture.experts[1].mix.out_channels == 4
    assert not torch.equal(mixture.experts[0].mix.weight, mixture.experts[1].mix.weight)


class NeedsFeatures(SNRRouter):
    depends_on_time_only = False


def test_a_router_that_needs_more_than_time_is_refused():
    cfg = {"type": "ExpertMixture", "router": {"type": f"{__name__}.NeedsFeatures"}, "expert": {"type": TOY}}
    with pytest.raises(ConfigError, match=r"change denoiser\.router"):
        DENOISERS.build(cfg, **SUPPLIED)
