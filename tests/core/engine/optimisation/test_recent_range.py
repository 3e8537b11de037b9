"""How far a figure is from its recent range: noise stays inside, spikes do not, whatever the unit."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linearsr.core.engine.optimisation.recent_range import LEAST_SPREAD, RecentRange
from tests.strategies import normal, seeds

WINDOW = 50
LIMIT = 10.0
"""DivergenceGuard's."""

spreads = st.floats(0, 1)  # of logarithms: 1 is a scatter by a factor of e
powers = st.integers(-40, 40)


def noise(seed: int, count: int, spread: float) -> list[float]:
    return (spread * normal(seed, count)).exp().tolist()


def known(values: list[float]) -> RecentRange:
    return RecentRange(len(values), values)


@given(seeds, spreads, powers)
def test_stationary_noise_stays_within_the_limit(seed: int, spread: float, power: int) -> None:
    recent = RecentRange(WINDOW)
    for value in noise(seed, 300, spread):
        away = recent.deviations(2.0**power * value)
        assert away is None or away <= LIMIT
        recent.add(2.0**power * value)


@given(seeds, st.floats(0, 0.3), powers)
def test_a_thousandfold_spike_does_not(seed: int, spread: float, power: int) -> None:
    values = [2.0**power * value for value in noise(seed, WINDOW, spread)]
    # log 1000 = 6.9, less than one of 0.3 below the median at the worst, is 20 deviations of 0.3; 50 values know them to 50 %
    away = known(values).deviations(1000 * 2.0**power)
    assert away is not None
    assert away > LIMIT


@given(seeds, spreads, st.floats(0, 3))
def test_what_falls_as_training_losses_do_never_leaves_its_range(seed: int, spread: float, rate: float) -> None:
    recent = RecentRange(WINDOW)
    for step, value in enumerate(noise(seed, 200, spread)):
        away = recent.deviations(value * math.exp(-rate * step / WINDOW))
        assert away is None or away <= LIMIT
        recent.add(value * math.exp(-rate * step / WINDOW))


@given(seeds, spreads, st.integers(1, 9), st.floats(0.1, 1e3))
def test_values_that_stand_out_do_not_widen_the_range_beyond_that_of_the_others(
    seed: int, spread: float, outliers: int, value: float
) -> None:
    values = noise(seed, WINDOW, spread)
    inside = sorted(abs(math.log(x)) for x in values)
    mixed = known(values[outliers:] + [1e30] * outliers)
    away = mixed.deviations(value)
    assert away is not None
    # 9 of 50 move the median and the MAD to another rank of the 41, so no deviation is larger than the noise's largest
    assert math.log(value) - away * max(1.4826 * 2 * inside[-1], LEAST_SPREAD) <= inside[-1] + 1e-9 or away < 0


def test_a_figure_that_does_not_move_is_ten_deviations_away_at_e_times_its_value() -> None:
    assert known([3.0] * 10).deviations(3 * math.e) == pytest.approx(10)
    assert known([3.0] * 10).deviations(3 / math.e) == pytest.approx(-10)


def test_nothing_is_said_before_the_window_is_full_nor_of_what_has_no_logarithm() -> None:
    recent = RecentRange(10, [1.0] * 9)
    assert recent.deviations(1e9) is None
    for value in (math.nan, math.inf, 0.0, -1.0):
        recent.add(value)
        assert recent.deviations(value) is None
    assert recent.deviations(1e9) is None
    recent.add(1.0)
    assert recent.deviations(1e9) is not None
    assert [recent.deviations(value) for value in (math.nan, math.inf, 0.0, -1.0)] == [None] * 4


def test_only_the_last_values_count() -> None:
    recent = RecentRange(10, [1e6] * 10)
    for _ in range(10):
        recent.add(1.0)
    assert (recent.middle(), list(recent.values)) == (1.0, [1.0] * 10)
