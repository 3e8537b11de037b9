"""Every registered router keeps its contract, with the options it has by default or else needs."""

import pytest

from linearsr.core.registries import ROUTERS
from linearsr.experts.conformance import check_router


def halves(t):
    return (t >= 0.5).long()


NEEDED = {
    "FunctionRouter": {"function": f"{__name__}:halves", "num_experts": 2},
    "LogSNRRouter": {"num_experts": 3, "t_range": (0.01, 0.97)},
}


@pytest.mark.parametrize("name", ROUTERS.own())
def test_router_keeps_its_contract(name):
    check_router(ROUTERS.build({"type": name} | NEEDED.get(name, {}))).require()
