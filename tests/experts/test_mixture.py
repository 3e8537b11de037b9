"""A mixture is its experts: nothing more where one works, nothing mixed up where several do."""

import copy
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from linearsr.core.errors import ConfigError, ShapeError, WeightsError
from linearsr.core.registries import DENOISERS, SOLVERS, TIME_GRIDS
from linearsr.experts import SNRRouter
from tests.experts.toy_denoiser import TOY
from tests.experts.toy_mixture import (
    LOW,
    PATTERNS,
    SUPPLIED,
    assert_close_to_scale,
    assert_same_state,
    at,
    batch,
    make,
    make_dense,
    of,
)
from tests.strategies import seeds


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
    dense = make_dense()
    mixture, t = make(), torch.tensor(ts, dtype=torch.float64)
    z, lr, guidance = batch(seed, len(t))
    mixture.upcycle(dense.state_dict())
    assert_close_to_scale(mixture(z, t, lr, guidance), dense(z, t, lr, guidance))


@pytest.mark.parametrize("solver", ["Euler", "Heun"])
def test_a_sampling_run_of_identical_experts_is_the_dense_run_across_every_switch(solver):
    dense = make_dense()
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


@pytest.mark.parametrize("per_expert", [None, ["mix.*", "time.bias"]])
def test_inactive_experts_do_not_move_in_50_steps_of_adamw_with_momentum_and_decay(per_expert):
    mixture, everyone = make(per_expert=per_expert), torch.tensor([0.1, 0.5, 0.9, 0.95], dtype=torch.float64)
    z, lr, guidance = batch(0, 4)
    optimizer = torch.optim.AdamW(mixture.parameters(), lr=1e-2, weight_decay=0.1)

    def step(t):
        optimizer.zero_grad()
        mixture(z, t, lr, guidance).square().mean().backward()
        optimizer.step()

    step(everyone)
    assert all("exp_avg" in optimizer.state[p] for p in mixture.parameters())
    before = copy.deepcopy(mixture.state_dict())
    for _ in range(50):
        step(at(0.97, 4))
    moved = {name for name, value in mixture.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {name for name in before if name.startswith(("trunk.", "experts.3."))}


@pytest.mark.parametrize(
    ("t", "message"),
    [
        (torch.tensor([0.5, math.nan]), r"t holds \[nan\].*times in 0\.\.1, and no NaN"),
        (torch.tensor([1.0001, 0.5]), r"t holds \[1\.0001.*times in 0\.\.1"),
        (torch.tensor([-0.1, 0.5]), r"t holds \[-0\.1.*times in 0\.\.1"),
        (torch.tensor([0.5, 0.9], dtype=torch.bfloat16), r"t is torch\.bfloat16; wanted float32 or float64"),
    ],
)
@pytest.mark.parametrize("router", ["SNRRouter", "LearnedRouter"])
@pytest.mark.parametrize("training", [True, False])
def test_times_that_are_none_are_refused_before_any_expert_works(training, router, t, message):
    mixture = make(router={"type": router}).train(training)
    for expert in mixture.experts:
        expert.forward = None  # a call would be a TypeError
    z, lr, guidance = batch(0, 2)
    with pytest.raises(ShapeError, match=message):
        mixture(z, t, lr, guidance)
    with pytest.raises(ShapeError, match=message):
        mixture.assign(t, lr)


@pytest.mark.parametrize("options", [{}, {"per_expert": PATTERNS}, {"per_expert": LOW, "rank": 2}])
def test_weights_of_another_model_are_refused_by_the_key_and_change_nothing(options):
    mixture, dense = make(**options), make_dense().state_dict()
    before = copy.deepcopy(mixture.state_dict())
    for wrong, message in (
        ({name: value for name, value in dense.items() if name != "out.bias"}, r"out\.bias is missing"),
        (dense | {"more": torch.zeros(1)}, r"1 unexpected \(more\)"),
        (dense | {"mix.bias": torch.zeros(3)}, r"mix\.bias is \[3\], an expert's \[8\]"),
        ({}, "is missing"),
    ):
        with pytest.raises(WeightsError, match=rf"^pretrain\.pth does not fit: .*{message}; make denoiser\.expert"):
            mixture.upcycle(wrong, "pretrain.pth")
        assert_same_state(mixture.state_dict(), before)


def test_the_number_of_experts_and_the_patch_size_come_from_the_parts():
    cfg = {"type": "ExpertMixture", "router": {"type": "SNRRouter", "boundaries": [0.5]}, "expert": {"type": TOY, "width": 4}}
    mixture = DENOISERS.build(cfg, **SUPPLIED)
    assert (len(mixture.experts), mixture.patch_size) == (2, 2)
    assert mixture.experts[1].mix.out_channels == 4
    assert not torch.equal(mixture.experts[0].mix.weight, mixture.experts[1].mix.weight)


class NeedsFeatures(SNRRouter):
    """The darker half of the pictures, by the first pixel, is one expert lower."""

    depends_on_time_only = False

    def features(self, lr):
        return lr[:, 0, :1, :1].flatten(1)

    def route(self, t, features=None):
        return (super().route(t) - (features[:, 0] < 0).long()).clamp(min=0)


def test_a_router_that_looks_at_the_picture_is_given_its_features_prepared_or_not():
    mixture, t = make(router={"type": f"{__name__}.NeedsFeatures"}), at(0.9, 6)
    z, lr, guidance = batch(0, 6)
    dark = lr[:, 0, 0, 0] < 0
    assert 0 < dark.sum() < 6
    wanted = torch.cat([mixture.experts[2 - int(dark[i])](z[[i]], t[[i]], *of(lr, guidance, [i])) for i in range(6)])
    assert_close_to_scale(mixture(z, t, lr, guidance), wanted)
    prepared = mixture.prepare(lr, guidance, t[:1])
    assert_close_to_scale(mixture(z, t, None, None, prepared=prepared), wanted)
    assert torch.equal(mixture.assign(t, lr), 2 - dark.long())


class Soft(nn.Module):
    """Weighs two experts by a parameter."""

    boundaries, depends_on_time_only = (0.5,), False

    def __init__(self):
        super().__init__()
        self.lean = nn.Parameter(torch.tensor(0.3))

    def features(self, lr):
        return lr[:, :1, 0, 0]

    def weights(self, t, features):
        first = torch.sigmoid(self.lean + features[:, 0])
        return torch.stack([first, 1 - first], 1).to(t.dtype)

    def route(self, t, features=None):
        return self.weights(t, features).argmax(1)


def test_a_router_that_learns_mixes_all_experts_in_training_and_picks_one_in_use():
    mixture, t = make(router={"type": f"{__name__}.Soft"}), at(0.9, 3)
    z, lr, guidance = batch(0, 3)
    first = torch.sigmoid(0.3 + lr[:, 0, 0, 0])
    answers = [expert(z, t, lr, guidance) for expert in mixture.experts]
    mixed = first.view(-1, 1, 1, 1) * answers[0] + (1 - first).view(-1, 1, 1, 1) * answers[1]
    out = mixture(z, t, lr, guidance)
    assert_close_to_scale(out, mixed)
    out.square().sum().backward()
    assert mixture.router.lean.grad.abs() > 0
    chosen = torch.where((first >= 0.5).view(-1, 1, 1, 1), *answers)
    assert_close_to_scale(mixture.eval()(z, t, lr, guidance), chosen)


def test_an_unknown_place_for_waiting_experts_is_refused():
    with pytest.raises(ConfigError, match=r"denoiser\.offload is 'moon'.*'host'"):
        make(offload="moon")
