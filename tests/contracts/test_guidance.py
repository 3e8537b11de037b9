"""Every registered guidance keeps its contract, with the options it has by default."""

import pytest

from linearsr.core.registries import GUIDANCE
from linearsr.guidance.conformance import check_guidance


@pytest.mark.parametrize("name", GUIDANCE.own())
def test_guidance_keeps_its_contract(name):
    check_guidance(GUIDANCE.build({"type": name})).require()
