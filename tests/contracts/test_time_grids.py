"""Every registered time grid keeps its contract, with the options it has by default."""

import pytest

from linearsr.core.registries import TIME_GRIDS
from linearsr.schedules.conformance import check_time_grid


@pytest.mark.parametrize("name", TIME_GRIDS.own())
def test_time_grid_keeps_its_contract(name):
    check_time_grid(TIME_GRIDS.build({"type": name})).require()
