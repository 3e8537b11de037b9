"""Every registered time sampler keeps its contract, with the options it has by default."""

import pytest

from linearsr.core.registries import TIME_SAMPLERS
from linearsr.schedules.conformance import check_time_sampler


@pytest.mark.parametrize("name", TIME_SAMPLERS.own())
def test_time_sampler_keeps_its_contract(name):
    check_time_sampler(TIME_SAMPLERS.build({"type": name})).require()
