"""Every registered path keeps its contract, with the options it has by default."""

import pytest

from linearsr.core.registries import PATHS
from linearsr.schedules.conformance import check_path


@pytest.mark.parametrize("name", PATHS.own())
def test_path_keeps_its_contract(name):
    check_path(PATHS.build({"type": name})).require()
