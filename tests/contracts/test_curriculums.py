"""Every registered curriculum keeps its contract, with the options it has by default."""

import pytest

from linearsr.core.registries import CURRICULUMS
from linearsr.schedules.conformance import check_curriculum


@pytest.mark.parametrize("name", CURRICULUMS.own())
def test_curriculum_keeps_its_contract(name):
    check_curriculum(CURRICULUMS.build({"type": name})).require()
