"""Sampling with a guider: two branches, of which the one without guidance is asked for where it is needed."""

from functools import cache

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from linearsr.core.engine.checkpoints import check_same_method
from linearsr.core.errors import ConfigError, WeightsError
from linearsr.core.models.telling import untold
from linearsr.core.structures import GuidanceTokens
from tests.core.models.guided_models import MIXTURE, WORDS, Counted, guided_by, model, photos, shared
from tests.strategies import scales, seeds, time_intervals


@pytest.mark.parametrize("solver", ["Euler", "Heun", "DPMSolver"])
@pytest.mark.parametrize("guider", [{"scale": 1.0, "rescale": 0.7}, {"scale": 6.0, "interval": [0.01, 0.02]}])
def test_at_scale_1_and_outside_the_interval_it_is_unguided_sampling_bit_for_bit_in_as_many_calls(solver, guider, monkeypatch):
    method, lr = model(solver={"type": solver}), photos(0, 2)
    count = Counted(method, monkeypatch)
    plain = method.restore(lr, 4)
    calls = count.calls
    monkeypatch.setattr(method.guidance, "negative", None)  # nobody asks for it
    assert torch.equal(guided_by(method, **guider).restore(lr, 4), plain)
    assert count.calls == 2 * calls
    assert len(count.prepared) == 2


@given(seeds)
def test_at_scale_0_it_is_sampling_with_the_negative_prompt_bit_for_bit(seed):
    method, lr = shared(), photos(seed, 2)
    want = method.restore(lr, 3, guidance=method.guidance.negative(2))
    assert torch.equal(guided_by(method, scale=0.0).restore(lr, 3), want)


def test_without_a_negative_prompt_the_null_tokens_stand_for_no_guidance():
    method, lr = model(guidance=WORDS | {"negative": ""}), photos(0, 2)
    want = method.restore(lr, 3, guidance=method.guidance.null(2))
    assert torch.equal(guided_by(method, scale=0.0).restore(lr, 3), want)


def test_a_third_partys_guidance_needs_no_negative():
    class Plain:
        def null(self, batch):
            return GuidanceTokens(torch.zeros(batch, 1, 2), torch.ones(batch, 1, dtype=torch.bool))

    assert untold(Plain(), 3).tokens.shape == (3, 1, 2)


@given(seeds, scales, st.floats(0, 1))
def test_with_guidance_that_says_nothing_every_scale_gives_the_same(seed, scale, rescale):
    method, lr = saying_nothing(), photos(seed, 2)
    guided = guided_by(method, scale=scale, rescale=rescale)
    assert torch.equal(guided.restore(lr, 2), method.restore(lr, 2))


@cache
def saying_nothing():
    return model(guidance={"type": "NullGuidance"})


def test_a_scale_beyond_1_changes_the_picture_and_its_scale_counts():
    lr = photos(0, 2, 6)
    pictures = [guided_by(shared(), scale=scale).restore(lr, 2) for scale in (1.0, 3.0, 6.0)]
    assert (pictures[0] - pictures[1]).abs().max() > 1e-4
    assert (pictures[1] - pictures[2]).abs().max() > 1e-4


def test_twenty_steps_call_the_denoiser_again_where_the_interval_is_and_prepare_each_branch_once(monkeypatch):
    method, lr = model(), photos(0, 2)
    count = Counted(method, monkeypatch)
    # at 1, 0.95, …, 0.05: those in 0.3 ≤ t < 0.7 are 0.65, …, 0.3
    guided_by(method, scale=5.5, interval=[0.29, 0.69]).restore(lr, 20)
    assert count.calls == 20 + 8
    negative = method.guidance.negative(2)
    assert [len(given.tokens[0]) for given in count.prepared] == [3, 4]  # "<s> a cat", "<s> noise and blur"
    assert torch.equal(count.prepared[1].tokens, negative.tokens)


@given(seeds, st.integers(1, 6), time_intervals)
def test_the_denoiser_is_called_once_a_step_and_once_more_inside_the_interval(seed, num_steps, interval):
    method = shared()
    inside = [low <= t < high or t == high == 1 for low, high in [interval] for t in method.time_grid.times(num_steps)[:-1]]
    with pytest.MonkeyPatch.context() as patch:
        count = Counted(method, patch)
        guided_by(method, scale=2.0, interval=interval).restore(photos(seed, 1), num_steps)
    assert count.calls == num_steps + sum(inside)
    assert len(count.prepared) == 1 + any(inside)


@given(seeds, st.integers(1, 4), st.lists(scales, min_size=4, max_size=4))
def test_scales_of_experts_that_are_alike_are_one_scale_and_those_of_1_ask_for_nothing(seed, num_steps, per_expert):
    method, lr = mixture(), photos(seed, 2)
    alike = guided_by(method, per_expert=[3.0] * 4).restore(lr, num_steps)
    assert torch.equal(alike, guided_by(method, scale=3.0).restore(lr, num_steps))
    serving = method.denoiser.assign(method.time_grid.times(num_steps)[:-1], None).tolist()
    with pytest.MonkeyPatch.context() as patch:
        count = Counted(method, patch)
        guided_by(method, per_expert=per_expert).restore(lr, num_steps)
    assert count.calls == num_steps + sum(per_expert[expert] != 1 for expert in serving)


@cache
def mixture():
    return model(denoiser=MIXTURE)


def test_each_expert_has_its_own_scale():
    """One step at t = 1 is the noisiest expert's, whose scale is the last one."""
    method, lr = mixture(), photos(0, 2, 6)
    by_last = guided_by(method, per_expert=[9.0, 9.0, 9.0, 3.0]).restore(lr, 1)
    assert torch.equal(by_last, guided_by(method, scale=3.0).restore(lr, 1))
    assert not torch.equal(by_last, guided_by(method, scale=9.0).restore(lr, 1))


def test_a_router_that_looks_at_pictures_is_told_them():
    method = model(denoiser=MIXTURE | {"router": {"type": "LearnedRouter"}})
    assert guided_by(method, per_expert=[1.0, 2.0, 3.0, 4.0]).restore(photos(0, 3), 2).isfinite().all()


def test_a_guider_without_guidance_or_with_scales_of_experts_that_are_not_there_is_refused_when_it_is_built():
    guider = {"type": "ClassifierFreeGuidance", "scale": 3.0}
    with pytest.raises(ConfigError, match=r"model\.guider is set, but model\.guidance is None"):
        model(guidance=None, guider=guider)
    with pytest.raises(ConfigError, match=r"model\.denoiser has no experts; set guider\.scale"):
        model(guider={"type": "ClassifierFreeGuidance", "per_expert": [3.0]})
    with pytest.raises(ConfigError, match="of 4 numbers, one for each expert"):
        model(denoiser=MIXTURE, guider={"type": "ClassifierFreeGuidance", "per_expert": [3.0, 4.0]})
    with pytest.raises(ConfigError, match="did you mean 'rescale'"):
        model(guider=guider | {"rescal": 0.7})
    by_log_snr = model(guider=guider | {"log_snr_interval": [-4, 4]})
    assert by_log_snr.guider.scales(torch.tensor([0.5, 0.99])).tolist() == [3, 1]


@pytest.mark.parametrize(
    ("change", "accepted"),
    [
        ({"guider": {"type": "ClassifierFreeGuidance", "scale": 3.0}}, True),
        ({"guidance_drop": 0.5}, True),
        ({"guidance": WORDS | {"negative": "blur", "positive": "sharp"}}, True),
        ({"guidance": WORDS | {"text": "a dog"}}, False),
    ],
)
def test_a_checkpoint_may_be_used_with_another_guider_and_negative_prompt(change, accepted, tmp_path):
    trained = {"type": "LinearSR", "guidance": WORDS}
    torch.save({"meta": {"cfg": f"model = {trained!r}"}, "state_dict": {}}, tmp_path / "iter_1.pth")
    if accepted:
        check_same_method(tmp_path / "iter_1.pth", trained | change)
    else:
        with pytest.raises(WeightsError, match=r"was trained with model\.guidance\.text"):
            check_same_method(tmp_path / "iter_1.pth", trained | change)
