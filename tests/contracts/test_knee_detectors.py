"""Every registered knee detector keeps its contract, with one metric and with several, whichever way they point."""

import pytest

from linearsr.core.registries import KNEE_DETECTORS
from linearsr.schedules.conformance import check_knee_detector


@pytest.mark.parametrize("directions", [{"psnr_y": 1}, {"psnr_y": 1, "lpips": -1, "musiq": 1}], ids=["one", "three"])
@pytest.mark.parametrize("name", KNEE_DETECTORS.own())
def test_knee_detector_keeps_its_contract(name, directions):
    check_knee_detector(lambda: KNEE_DETECTORS.build({"type": name, "directions": directions})).require()
