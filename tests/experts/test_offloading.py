"""Sampling with one expert on the device: the same numbers, each expert moved once, no more than two at a time."""

import copy
import pickle

import pytest
import torch

from linearsr.core.costs import peak_bytes
from linearsr.core.errors import ConfigError
from linearsr.core.models import build_model
from linearsr.core.planning.weights import weight_bytes
from linearsr.core.registries import SOLVERS, TIME_GRIDS
from tests.core.engine.distributed.models import DENOISER, MODEL
from tests.experts.toy_mixture import LOW, PATTERNS, assert_same_state, at, batch, make, make_dense

TIMES = TIME_GRIDS.build({"type": "ShiftedGrid"}).times(20)
"""Meets all four experts, noisy to clean."""


KINDS = pytest.mark.parametrize("kind", ["host", "disk"])


def sample(mixture, times=TIMES, solver="Euler", told=True, after=lambda: None):
    z, lr, guidance = batch(0, 2)
    prepared = mixture.prepare(lr, guidance, times if told else times[:1])

    def velocity(z, t):
        v = mixture(z, t, None, None, prepared=prepared)
        after()
        return v

    with torch.no_grad():
        return SOLVERS.build({"type": solver}).solve(velocity, z, times)


@KINDS
@pytest.mark.parametrize("options", [{}, {"per_expert": PATTERNS}, {"per_expert": LOW, "rank": 2}])
@pytest.mark.parametrize("solver", ["Euler", "Heun"])
def test_offloaded_sampling_is_resident_sampling_bit_for_bit(kind, options, solver):
    resident = make(**options).eval()
    offloaded = make(offload=kind, **options).eval()
    assert torch.equal(sample(offloaded, solver=solver), sample(resident, solver=solver))


@KINDS
def test_a_picture_is_restored_alike_with_experts_away_and_at_hand(kind):
    def restored(**options):
        torch.manual_seed(0)
        denoiser = {"type": "ExpertMixture", "router": {"type": "SNRRouter"}, "expert": DENOISER} | options
        model = build_model(MODEL | {"denoiser": denoiser, "time_grid": {"type": "ShiftedGrid"}}).eval()
        return model.restore(torch.rand(2, 3, 7, 9, generator=torch.Generator().manual_seed(0)), num_steps=12)

    assert torch.equal(restored(offload=kind), restored())


@KINDS
def test_each_expert_is_moved_once_and_two_are_there_only_on_an_experts_last_step(kind):
    mixture, seen = make(offload=kind).eval(), []
    sample(mixture, after=lambda: seen.append(mixture.offload.resident))
    assert mixture.offload.moves == [1, 1, 1, 1]
    served = mixture.router.route(TIMES[:-1]).tolist()
    following = mixture.router.route(TIMES[1:]).tolist()  # the next step's, the end of the grid for the last
    assert seen == [[a] if a == b else [a, b] for a, b in zip(served, following, strict=True)]


@KINDS
def test_with_a_second_forward_a_step_as_a_guider_makes_it_each_expert_is_still_moved_once(kind):
    mixture = make(offload=kind).eval()
    z, lr, guidance = batch(0, 2)
    branches = [mixture.prepare(lr, told, TIMES) for told in (guidance, guidance)]

    def velocity(z, t):
        told, untold = (mixture(z, t, None, None, prepared=branch) for branch in branches)
        return 2 * told - untold

    with torch.no_grad():
        SOLVERS.build({"type": "Euler"}).solve(velocity, z, TIMES)
    assert mixture.offload.moves == [1, 1, 1, 1]
    assert len(mixture.offload.resident) == 1
    mixture.offload.release_all(list(mixture.experts))
    sample(mixture)
    assert mixture.offload.moves == [2, 2, 2, 2]


@KINDS
def test_without_known_times_nothing_is_fetched_in_advance(kind):
    mixture, most = make(offload=kind).eval(), []
    sample(mixture, told=False, after=lambda: most.append(len(mixture.offload.resident)))
    assert max(most) == 1
    assert sum(mixture.offload.moves) == len(mixture.router.route(TIMES[:-1]).unique())


@KINDS
def test_a_mixed_batch_is_served_too(kind):
    resident, offloaded = make().eval(), make(offload=kind).eval()
    z, lr, guidance = batch(0, 4)
    t = torch.tensor([0.1, 0.95, 0.5, 0.12], dtype=torch.float64)
    with torch.no_grad():
        assert torch.equal(offloaded(z, t, lr, guidance), resident(z, t, lr, guidance))
    assert len(offloaded.offload.resident) == 1


@KINDS
def test_what_lies_on_the_device_is_a_copy_and_the_original_comes_back(kind):
    mixture = make(offload=kind).eval()
    weight = mixture.experts[3].mix.weight
    where, before = weight.data_ptr(), weight.detach().clone()
    with torch.no_grad():
        z, lr, guidance = batch(0, 2)
        mixture(z, at(1.0, 2), lr, guidance)
        assert mixture.experts[3].mix.weight is weight
        assert weight.data_ptr() != where
        mixture(z, at(0.5, 2), lr, guidance)
    assert weight.data_ptr() == where
    assert torch.equal(weight, before)


@KINDS
def test_weights_loaded_between_two_samplings_are_used_in_the_second(kind):
    mixture, other = make(offload=kind).eval(), make(5).eval()
    sample(mixture)
    mixture.load_state_dict(other.state_dict())
    assert torch.equal(sample(mixture), sample(other))
    assert_same_state(mixture.state_dict(), other.state_dict())


@KINDS
def test_up_cycled_and_cast_while_experts_are_away(kind):
    dense, mixture = make_dense(), make(per_expert=PATTERNS, offload=kind).eval()
    sample(mixture)
    mixture.upcycle(dense.state_dict())
    mixture.double()
    assert mixture.offload.resident == []
    z, lr, guidance = batch(0, 2)
    with torch.no_grad():
        got = copy.deepcopy(mixture)(z.double(), at(0.5, 2), lr.double(), guidance_in_double(guidance))
        want = dense.double()(z.double(), at(0.5, 2), lr.double(), guidance_in_double(guidance))
    assert torch.equal(got, want)


def guidance_in_double(guidance):
    return type(guidance)(guidance.tokens.double(), guidance.mask)


@KINDS
def test_training_while_offloaded_is_refused(kind):
    mixture = make(offload=kind)
    z, lr, guidance = batch(0, 2)
    with pytest.raises(ConfigError, match=r"denoiser\.offload=None to train"):
        mixture(z, at(0.5, 2), lr, guidance)


@KINDS
@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda mixture: pickle.loads(pickle.dumps(mixture))], ids=["deep copy", "pickle"]
)
def test_a_copy_made_while_experts_are_away_has_originals_of_its_own(kind, copied):
    mixture = make(offload=kind).eval()
    want = sample(mixture)
    twin = copied(mixture)
    with torch.no_grad():
        for parameter in mixture.parameters():
            parameter.zero_()
    assert torch.equal(sample(twin), want)
    assert not sample(mixture).equal(want)


@KINDS
def test_a_mixture_without_values_gets_them_later(kind):
    mixture, other = make(offload=kind).to("meta"), make(5).eval()
    mixture.to_empty(device="cpu").load_state_dict(other.state_dict())
    assert torch.equal(sample(mixture.eval()), sample(other))


def test_what_autocast_has_cast_of_an_expert_leaves_with_it():
    """Its cache holds 16-bit copies of weights until the context ends."""

    def peak(cached):
        torch.manual_seed(0)
        expert = DENOISER | {"width": 256, "depth": 2}
        denoiser = {"type": "ExpertMixture", "router": {"type": "SNRRouter"}, "expert": expert, "offload": "host"}
        model = build_model(MODEL | {"denoiser": denoiser, "time_grid": {"type": "ShiftedGrid"}}).eval()
        with torch.autocast("cpu", torch.bfloat16, cache_enabled=cached):
            return peak_bytes(lambda: model.restore(torch.rand(1, 3, 2, 2), num_steps=12)), weight_bytes(model)

    (cached, weights), (uncached, _) = peak(True), peak(False)
    assert cached - uncached < weights / 4  # copies of two of the four, at half the size; of all of them it is a half
