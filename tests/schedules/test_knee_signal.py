"""The pure functions below the knee detector."""

import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linearsr.schedules.knee_point.signal import centred_median, fuse, noise_scale, noise_scales, rising_fit, trailing_median
from tests.strategies import normal, seeds

curves = st.lists(st.floats(-100, 100), min_size=1, max_size=40)
widths = st.sampled_from([1, 3, 5, 7])


@given(curves, widths)
def test_a_trailing_median_looks_back_only(curve, width):
    assert trailing_median(curve, width) == [statistics.median(curve[max(0, i - width + 1) : i + 1]) for i in range(len(curve))]


@given(curves, widths)
def test_a_centred_median_looks_as_far_ahead_as_back(curve, width):
    reach = [min(width // 2, i, len(curve) - 1 - i) for i in range(len(curve))]
    assert centred_median(curve, width) == [statistics.median(curve[i - r : i + r + 1]) for i, r in enumerate(reach)]


@given(curves)
def test_the_rising_fit_is_the_isotonic_regression(curve):
    isotonic = pytest.importorskip("sklearn.isotonic")
    assert rising_fit(curve) == pytest.approx(isotonic.isotonic_regression(curve).tolist(), abs=1e-9)  # sums of up to 4000


@given(seeds, st.floats(0.01, 10), st.floats(-5, 5))
def test_the_noise_scale_is_the_standard_deviation_whatever_the_slope(seed, sigma, slope):
    curve = sigma * normal(seed, 4000).numpy() + slope * np.arange(4000)
    # second differences are correlated; the spread of the estimate at 4000 evaluations is 2.3 %, ten are allowed
    assert noise_scale(curve.tolist()) == pytest.approx(sigma, rel=0.1)


@given(curves)
def test_noise_scales_are_those_of_what_came_before(curve):
    assert noise_scales(curve) == [noise_scale(curve[:i]) for i in range(len(curve))]


@given(seeds)
def test_a_metric_within_its_noise_is_not_fused(seed):
    """And neither is a constant one."""
    rise, noise = np.linspace(0, 1, 30), normal(seed, 30).numpy()
    alone = fuse(rise[:, None], 5)
    assert fuse(np.stack([rise, 0 * rise + 3], 1), 5) == alone
    assert fuse(np.stack([0 * rise, 0 * rise + 3], 1), 5) is None
    together = fuse(np.stack([rise, noise], 1), 5)
    assert together == alone or fuse(noise[:, None], 5) is not None
