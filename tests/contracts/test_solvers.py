"""Every registered solver keeps its contract, with the options it has by default."""

import pytest

from linearsr.core.registries import SOLVERS
from linearsr.schedules.conformance import check_solver


@pytest.mark.parametrize("name", SOLVERS.own())
def test_solver_keeps_its_contract(name):
    check_solver(SOLVERS.build({"type": name})).require()
