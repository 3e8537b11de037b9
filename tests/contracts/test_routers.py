"""Every registered router keeps its contract, with the options it has by default."""

import pytest

from linearsr.core.registries import ROUTERS
from linearsr.experts.conformance import check_router


@pytest.mark.parametrize("name", ROUTERS.own())
def test_router_keeps_its_contract(name):
    check_router(ROUTERS.build({"type": name})).require()
