"""Every registered autoencoder keeps its contract, with the options it has by default or with few random weights."""

from pathlib import Path
from typing import Any

import pytest

from linearsr.core.autoencoders.conformance import check_autoencoder
from linearsr.core.registries import AUTOENCODERS
from tests.core.autoencoders.small_networks import small_dc, write_taesd


def _dc(folder: Path) -> dict[str, Any]:
    pytest.importorskip("diffusers")
    small_dc().save_pretrained(folder)
    return {"folder": str(folder)}


WITH_WEIGHTS = {"DCAE": _dc, "TinyAutoencoder": write_taesd}


@pytest.mark.parametrize("name", AUTOENCODERS.own())
def test_autoencoder_keeps_its_contract(name, tmp_path):
    if name not in WITH_WEIGHTS:
        check_autoencoder(AUTOENCODERS.build({"type": name})).require()
        return
    autoencoder = AUTOENCODERS.build({"type": name, **WITH_WEIGHTS[name](tmp_path)})
    check_autoencoder(autoencoder, tolerance=None).require()
