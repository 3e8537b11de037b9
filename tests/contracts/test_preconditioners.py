"""Every registered preconditioner keeps its contract, with the options it has by default."""

import pytest

from linearsr.core.registries import PRECONDITIONERS
from linearsr.schedules.conformance import check_preconditioner


@pytest.mark.parametrize("name", PRECONDITIONERS.own())
def test_preconditioner_keeps_its_contract(name):
    check_preconditioner(PRECONDITIONERS.build({"type": name})).require()
