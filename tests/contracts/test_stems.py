"""Every registered LR stem keeps its contract, with the options it has by default."""

import pytest

from linearsr.core.backbones.conformance import check_stem
from linearsr.core.registries import STEMS


@pytest.mark.parametrize("name", STEMS.own())
def test_stem_keeps_its_contract(name):
    check_stem(STEMS.require(name)).require()
