"""Every registered guider keeps its contract, in several settings."""

import pytest

from linearsr.core.registries import GUIDERS, PATHS
from linearsr.guidance.conformance import check_guider

OPTIONS = {
    "ClassifierFreeGuidance": [
        {"scale": 1.0},
        {"scale": 5.5, "rescale": 0.7, "interval": [0.2, 0.8]},
        {"scale": 4.0, "rescale": 1.0, "log_snr_interval": [-3, 5]},
        {"per_expert": [3.0, 4.0, 1.0, 0.0]},
    ],
}
"""What they cannot be built without, and more."""


@pytest.mark.parametrize(("name", "options"), [(name, options) for name in GUIDERS.own() for options in OPTIONS[name]])
def test_guider_keeps_its_contract(name, options):
    guider = GUIDERS.build({"type": name, **options}, log_snr=PATHS.build({"type": "RectifiedFlow"}).log_snr, num_experts=4)
    check_guider(guider, num_experts=4).require()
