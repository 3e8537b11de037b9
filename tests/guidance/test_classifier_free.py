"""Classifier-free guidance: the scale of each picture, and what is made of two answers."""

import math

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from linearsr.core.errors import ConfigError, ShapeError
from linearsr.core.models.guiding import guided
from linearsr.core.plugin_check import check_component
from linearsr.core.registries import PATHS, PRECONDITIONERS
from linearsr.guidance import ClassifierFreeGuidance
from linearsr.guidance.conformance import check_guider
from tests.strategies import normal, scales, seeds, time_intervals, time_lists

LOG_SNR = PATHS.build({"type": "RectifiedFlow"}).log_snr
ROUNDING = 1e-12  # of float64: some thousand roundings, of the largest value


def answers(seed, batch=3):
    return normal(seed, batch, 2, 4, 5), normal(seed + 1, batch, 2, 4, 5)


def far(got, want):
    return ((got - want).abs().max() / want.abs().max()).item()


def full(value, batch=3):
    return torch.full((batch,), value, dtype=torch.float64)


@given(seeds, st.floats(0, 1))
def test_scale_1_is_the_conditional_answer_exactly_however_rescaled(seed, rescale):
    v_c, v_u = answers(seed)
    assert torch.equal(ClassifierFreeGuidance(1.0, rescale=rescale).combine(v_c, v_u, full(1.0)), v_c)


@given(seeds)
def test_scale_0_is_the_unconditional_answer_exactly(seed):
    v_c, v_u = answers(seed)
    assert torch.equal(ClassifierFreeGuidance(0.0).combine(v_c, v_u, full(0.0)), v_u)


@given(seeds, scales, scales)
def test_the_answer_is_linear_in_the_scale_without_rescaling(seed, one, other):
    (v_c, v_u), guider = answers(seed), ClassifierFreeGuidance(1.0)
    difference = guider.combine(v_c, v_u, full(one)) - guider.combine(v_c, v_u, full(other))
    # the sums' terms are up to the larger scale times an answer
    assert (difference - (one - other) * (v_c - v_u)).abs().max() <= ROUNDING * (1 + one + other)


@given(seeds, st.lists(scales, min_size=3, max_size=3))
def test_rescaled_wholly_each_picture_has_the_deviation_of_its_conditional_answer(seed, each):
    v_c, v_u = answers(seed)
    v = ClassifierFreeGuidance(1.0, rescale=1.0).combine(v_c, v_u, torch.tensor(each, dtype=torch.float64))
    assert far(v.std((1, 2, 3)), v_c.std((1, 2, 3))) <= ROUNDING


@given(seeds, scales, st.floats(0, 1))
def test_rescaling_is_the_mean_of_rescaled_wholly_and_not_at_all(seed, scale, rescale):
    v_c, v_u = answers(seed)
    not_at_all, partly, wholly = (
        ClassifierFreeGuidance(1.0, rescale=share).combine(v_c, v_u, full(scale)) for share in (0.0, rescale, 1.0)
    )
    assert far(partly, rescale * wholly + (1 - rescale) * not_at_all) <= ROUNDING


def test_a_constant_answer_has_no_deviation_and_stays():
    constant = full(2.0).view(3, 1, 1, 1).expand(3, 2, 4, 5)
    assert torch.equal(ClassifierFreeGuidance(3.0, rescale=1.0).combine(constant, 0 * constant, full(3.0)), 3 * constant)


@given(seeds, scales, st.floats(0, 1))
def test_velocities_may_be_combined_before_or_after_preconditioning(seed, scale, t):
    """c_skip and c_out are the same for both answers, and s + (1 − s) = 1."""
    _, c_skip, c_out = (
        own.view(-1, 1, 1, 1) for own in PRECONDITIONERS.build({"type": "VelocityPreconditioner"}).scales(full(t))
    )
    z, (f_c, f_u), guider = normal(seed + 2, 3, 2, 4, 5), answers(seed), ClassifierFreeGuidance(1.0)
    after = guider.combine(c_skip * z + c_out * f_c, c_skip * z + c_out * f_u, full(scale))
    before = c_skip * z + c_out * guider.combine(f_c, f_u, full(scale))
    assert (after - before).abs().max() <= ROUNDING * (1 + scale) * 10  # values of up to about 10


def test_rescaled_velocities_are_not_those_of_rescaled_network_outputs():
    z, (f_c, f_u), guider = normal(2, 3, 2, 4, 5), answers(0), ClassifierFreeGuidance(3.0, rescale=1.0)
    after, before = guider.combine(z + f_c, z + f_u, full(3.0)), z + guider.combine(f_c, f_u, full(3.0))
    assert far(after, before) > 0.01


@given(time_lists, time_intervals, scales)
def test_the_scale_holds_from_the_lower_end_to_below_the_upper_one_and_at_1_with_it(times, interval, scale):
    low, high = interval
    t = torch.tensor([*times, low, high], dtype=torch.float64)
    found = ClassifierFreeGuidance(scale, interval=interval).scales(t)
    assert found.tolist() == [scale if low <= time < high or time == high == 1 else 1.0 for time in t.tolist()]


@given(time_lists, time_intervals)
def test_an_interval_of_log_snr_is_that_of_t_turned_round(times, interval):
    ends = torch.tensor(interval, dtype=torch.float64)
    t = torch.tensor(times, dtype=torch.float64)
    assume((t[:, None] - ends).abs().min() > 1e-9)  # where rounding of λ cannot move a time over an end
    high, low = LOG_SNR(ends).tolist()
    by_time = ClassifierFreeGuidance(3.0, interval=interval).scales(t)
    by_log_snr = ClassifierFreeGuidance(3.0, log_snr_interval=(low, high), log_snr=LOG_SNR).scales(t)
    assert torch.equal(by_time, by_log_snr)


def test_ends_of_a_log_snr_interval_at_exact_values_and_at_infinity():
    middle, ends = torch.tensor([0.5], dtype=torch.float64), torch.tensor([0.0, 1.0], dtype=torch.float64)  # λ = 0, ∞, −∞

    def found(t, *interval):
        return ClassifierFreeGuidance(3.0, log_snr_interval=interval, log_snr=LOG_SNR).scales(t).tolist()

    assert found(middle, -1, 0) == [3]
    assert found(middle, 0, 1) == [1]
    assert found(ends, -math.inf, 0) == [1, 3]
    assert found(ends, 0, math.inf) == [3, 1]
    assert found(ends, -9, 9) == [1, 1]


@given(st.lists(st.integers(0, 2), min_size=1, max_size=9), st.lists(scales, min_size=3, max_size=3), st.floats(0, 0.99))
def test_each_picture_has_the_scale_of_its_expert(experts, per_expert, t):
    guider = ClassifierFreeGuidance(per_expert=per_expert, num_experts=3)
    assert guider.asks_expert
    assert guider.scales(full(t, len(experts)), torch.tensor(experts)).tolist() == [per_expert[own] for own in experts]


@given(seeds, st.lists(st.floats(0, 1), min_size=1, max_size=6), time_intervals)
def test_pictures_outside_the_interval_keep_their_conditional_answer_whatever_the_other_is(seed, times, interval):
    t, asked = torch.tensor(times, dtype=torch.float64), []
    v_c, v_u = answers(seed, len(times))
    guider = ClassifierFreeGuidance(3.0, interval=interval)
    outside = guider.scales(t) == 1
    v_u[outside] = math.nan
    v = guided(guider, lambda z, t: v_c, lambda z, t: (asked.append(1), v_u)[1])(v_c, t)
    assert torch.equal(v[outside], v_c[outside])
    assert torch.equal(v[~outside], guider.combine(v_c, v_u, guider.scales(t))[~outside])
    assert len(asked) == (not outside.all())


@pytest.mark.parametrize("rescale", [0.0, 0.7])
def test_sixteen_bit_answers_are_combined_in_float32_and_rounded_once(rescale):
    (v_c, v_u), guider = (v.bfloat16() for v in answers(0)), ClassifierFreeGuidance(1.0, rescale=rescale)
    got = guider.combine(v_c, v_u, full(5.3))  # no bfloat16 number
    nearest = guider.combine(v_c.double(), v_u.double(), full(5.3)).bfloat16()
    assert (got == nearest).double().mean() >= 0.98  # float32 falls on the other side of a tie now and then


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "wanted one of both"),
        ({"scale": 2.0, "per_expert": [2.0]}, "wanted one of both"),
        ({"scale": -1.0}, r"guider\.scale is -1\.0; wanted a finite number of at least 0"),
        ({"scale": math.nan}, r"guider\.scale"),
        ({"scale": "5.5"}, r"guider\.scale"),
        ({"scale": 2.0, "rescale": 1.5}, r"guider\.rescale is 1\.5; wanted .* at most 1"),
        ({"scale": 2.0, "interval": [0.8, 0.2]}, r"guider\.interval is \[0\.8, 0\.2\]; wanted \(low, high\)"),
        ({"scale": 2.0, "interval": [0.2, 1.2]}, r"guider\.interval"),
        ({"scale": 2.0, "interval": [0.2, math.nan]}, r"guider\.interval"),
        ({"scale": 2.0, "interval": 0.5}, r"guider\.interval"),
        ({"scale": 2.0, "log_snr_interval": [1, 2]}, "needs log_snr"),
        ({"scale": 2.0, "log_snr_interval": [2, 1], "log_snr": LOG_SNR}, r"guider\.log_snr_interval"),
        ({"scale": 2.0, "log_snr_interval": [1, 2], "interval": [0, 0.5], "log_snr": LOG_SNR}, "both set"),
        ({"per_expert": []}, r"guider\.per_expert is \[\]"),
        ({"per_expert": 3.0}, r"guider\.per_expert is 3\.0; wanted a list"),
        ({"per_expert": [1.0, -1.0]}, r"guider\.per_expert is -1\.0"),
        ({"per_expert": [1.0, 2.0], "num_experts": 4}, "of 4 numbers, one for each expert"),
    ],
)
def test_values_that_cannot_be_are_refused_with_their_key(options, message):
    with pytest.raises(ConfigError, match=message):
        ClassifierFreeGuidance(**options)


def test_scales_want_whole_times_and_experts():
    with pytest.raises(ShapeError, match="bfloat16"):
        ClassifierFreeGuidance(2.0).scales(torch.rand(3).bfloat16())
    with pytest.raises(ConfigError, match="each picture's expert"):
        ClassifierFreeGuidance(per_expert=[2.0]).scales(full(0.5))


class Deviating(ClassifierFreeGuidance):
    def combine(self, conditional, unconditional, scale):
        v = super().combine(conditional, unconditional, scale)
        return v * conditional.std() / v.std()  # of the batch


class Wide(ClassifierFreeGuidance):
    def combine(self, conditional, unconditional, scale):
        return super().combine(conditional.double(), unconditional.double(), scale)


class InPlace(ClassifierFreeGuidance):
    def combine(self, conditional, unconditional, scale):
        return conditional.copy_(super().combine(conditional, unconditional, scale))


class CountsFromZero(ClassifierFreeGuidance):
    """As the papers that write (1 + w)·v_c − w·v_u."""

    def combine(self, conditional, unconditional, scale):
        return super().combine(conditional, unconditional, scale + 1)


class Undivided(ClassifierFreeGuidance):
    def combine(self, conditional, unconditional, scale):
        v = super().combine(conditional, unconditional, scale)
        return v * conditional.std((1, 2, 3), keepdim=True) / v.std((1, 2, 3), keepdim=True)


class Overshoots(ClassifierFreeGuidance):
    def combine(self, conditional, unconditional, scale):
        return conditional * scale.to(conditional).view(-1, 1, 1, 1)


class OfTheMeanTime(ClassifierFreeGuidance):
    def scales(self, t, expert=None):
        return super().scales(t.mean().expand_as(t), expert)


class Single(ClassifierFreeGuidance):
    def scales(self, t, expert=None):
        return super().scales(t, expert).float()


class GuessesTheExpert(ClassifierFreeGuidance):
    def scales(self, t, expert=None):
        return super().scales(t, torch.zeros(len(t), dtype=torch.int64) if expert is None else expert)


INSIDE = {"scale": 3.0, "interval": [0.4, 0.6]}


@pytest.mark.parametrize(
    ("guider", "law"),
    [
        (Deviating(3.0), "answer does not depend on the batch"),
        (Wide(3.0), "shape and type"),
        (InPlace(3.0), "leaves the answers alone"),
        (CountsFromZero(3.0), "at scale 1"),
        (Undivided(3.0), "blank answers"),
        (Overshoots(3.0), "two equal answers"),
        (OfTheMeanTime(**INSIDE), "scale does not depend on the batch"),
        (Single(**INSIDE), "in t's type"),
        (GuessesTheExpert(per_expert=[2.0]), "asks for the expert"),
    ],
    ids=lambda case: type(case).__name__ if not isinstance(case, str) else case.split()[0],
)
def test_the_check_names_the_law_that_a_broken_guider_breaks(guider, law):
    assert any(law in finding.law for finding in check_guider(guider).failed), str(check_guider(guider))


def test_the_plugin_check_knows_guiders():
    check_component("ClassifierFreeGuidance", "guider", {"scale": 2.0, "rescale": 0.5}).require()
