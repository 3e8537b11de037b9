"""Curves of known knee: a sample of what tools/benchmarks/knee.py measures on a thousand."""

import importlib
import statistics

import pytest

from tests.schedules.knee_runs import follow
from tests.tools.conftest import ROOT

SAMPLE = 36
"""Three of each kind and noise."""


@pytest.fixture(scope="module")
def knee_curves():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "tools" / "benchmarks"))
        return importlib.import_module("knee_curves")


def test_the_knee_is_found_before_the_oscillation(knee_curves):
    """The bounds of the thousand: 0.5 % of 36 are none."""
    curves = [knee_curves.mixed_curves(seed) for seed in range(SAMPLE)]
    directions = {"a": 1, "b": 1, "c": 1}
    knees = [follow(one.values.tolist(), directions)[-1].knee_step for one in curves]
    assert all(knee is not None and knee < one.onset for knee, one in zip(knees, curves, strict=True))
    assert statistics.median(abs(knee - one.knee) for knee, one in zip(knees, curves, strict=True)) <= 3


def test_the_true_knee_is_where_95_percent_of_the_rise_are_reached_without_noise(knee_curves):
    for kind in knee_curves.KINDS:
        quiet = knee_curves.known_curves(5, kind, noise=0.0)
        before, at = (quiet.values[quiet.knee + k].max() for k in (-1, 0))
        assert before < knee_curves.NEARLY <= at + 1e-3  # 1 − e⁻³ is 0.9502
        assert quiet.onset >= quiet.knee + 8
