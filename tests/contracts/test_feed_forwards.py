"""Every registered feed-forward keeps its contract, with the options it has by default."""

import pytest

from linearsr.core.backbones.conformance import check_feed_forward
from linearsr.core.registries import FEED_FORWARDS


@pytest.mark.parametrize("name", FEED_FORWARDS.own())
def test_feed_forward_keeps_its_contract(name):
    check_feed_forward(FEED_FORWARDS.require(name)).require()
