"""Every registered autoencoder keeps its contract, with the options it has by default."""

import pytest

from linearsr.core.autoencoders.conformance import check_autoencoder
from linearsr.core.registries import AUTOENCODERS


@pytest.mark.parametrize("name", AUTOENCODERS.own())
def test_autoencoder_keeps_its_contract(name):
    check_autoencoder(AUTOENCODERS.build({"type": name})).require()
