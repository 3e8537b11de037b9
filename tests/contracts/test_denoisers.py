"""Every registered denoiser keeps its contract, in a small configuration given here."""

import pytest

from linearsr.core.backbones.conformance import check_denoiser
from linearsr.core.registries import DENOISERS

DIT = {
    "depth": 1,
    "width": 16,
    "head_width": 8,
    "attention": {"type": "ReLULinearAttention"},
    "feed_forward": {"type": "GatedConvFeedForward", "ratio": 1.5},
    "lr_stem": {"type": "ConvStem", "width": 4},
}
SMALL = {
    "LinearDiT": DIT | {"depth": 2},
    "ExpertMixture": {"router": {"type": "SNRRouter"}, "expert": {"type": "LinearDiT"} | DIT},
}
"""Options by name. A new denoiser needs a line here."""


@pytest.mark.parametrize("name", DENOISERS.own())
def test_denoiser_keeps_its_contract(name):
    assert name in SMALL, f"{name} is registered, but SMALL in {__file__} has no small configuration of it; add one"
    check_denoiser(DENOISERS.require(name), SMALL[name]).require()
