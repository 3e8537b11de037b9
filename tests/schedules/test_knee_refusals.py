"""What the detector refuses, each with one clear error, and that it is then as it was before."""

import math

import pytest

from linearsr.core.errors import ConfigError
from linearsr.core.registries import KNEE_DETECTORS
from linearsr.schedules import KneeDetector

BOTH = {"psnr": 1, "lpips": -1}


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"directions": {}}, r"knee.directions is \{\}; wanted metrics and their signs"),
        ({"directions": ["psnr"]}, "knee.directions is"),
        ({"directions": {"psnr": 2}}, r"knee.directions\['psnr'\] is 2; wanted \+1"),
        ({"directions": {"psnr": True}}, "is True"),
        ({"epsilon": 0.0}, "knee.epsilon is 0.0; wanted a share between 0 and 1"),
        ({"drawdown": 1}, "knee.drawdown is 1"),
        ({"drawdown": math.nan}, "knee.drawdown is nan"),
        ({"window": 4}, "knee.window is 4; wanted an odd number"),
        ({"window": 1}, "knee.window is 1; wanted a whole number of at least 3"),
        ({"patience": 0}, "knee.patience is 0"),
    ],
)
def test_a_setting_out_of_range_names_its_key(settings, said):
    with pytest.raises(ConfigError, match=said):
        KNEE_DETECTORS.build({"type": "KneeDetector", "directions": BOTH} | settings)


@pytest.mark.parametrize(
    ("step", "metrics", "said"),
    [
        (2, {"psnr": 1.0}, "came without lpips; wanted exactly psnr, lpips; got psnr"),
        (2, {"psnr": 1.0, "lpips": 1.0, "fid": 1.0}, "came with fid too; wanted exactly psnr, lpips"),
        (2, {"psnr": 1.0, "lpisp": 1.0}, "without lpips and with lpisp too"),
        (2, {}, "got none"),
        (2, {"psnr": "28", "lpips": 1.0}, "the metric psnr is '28'; wanted a number"),
        (2, {"psnr": None, "lpips": 1.0}, "the metric psnr is None"),
        (1, {"psnr": 1.0, "lpips": 1.0}, "step of this evaluation is 1; wanted a number above 1: steps increase strictly"),
        (0, {"psnr": 1.0, "lpips": 1.0}, "wanted a number above 1"),
        (math.nan, {"psnr": 1.0, "lpips": 1.0}, "is nan"),
    ],
)
def test_an_evaluation_that_does_not_fit_is_refused_and_changes_nothing(step, metrics, said):
    detector = KneeDetector(BOTH)
    detector.update(1, {"psnr": 20.0, "lpips": 0.5})
    before = detector.state_dict()
    with pytest.raises(ConfigError, match=said):
        detector.update(step, metrics)
    assert detector.state_dict() == before


def test_a_state_of_other_metrics_is_refused():
    with pytest.raises(ConfigError, match=r"has directions .*'lpips': -1.*, this one"):
        KneeDetector({"psnr": 1}).load_state_dict(KneeDetector(BOTH).state_dict())
