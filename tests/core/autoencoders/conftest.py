from pathlib import Path

import pytest

from linearsr.core.autoencoders import DCAE, TinyAutoencoder
from tests.core.autoencoders.small_networks import small_dc, write_taesd


@pytest.fixture(scope="session")
def taesd_options(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """With a branch over the whole picture, as in taef2."""
    return write_taesd(tmp_path_factory.mktemp("taesd"))


@pytest.fixture(scope="session")
def dc_model():
    pytest.importorskip("diffusers")
    return small_dc()


@pytest.fixture(scope="session")
def dc_folder(dc_model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dc_ae")
    dc_model.save_pretrained(folder)
    return folder


@pytest.fixture(params=["TinyAutoencoder", "DCAE"])
def frozen(request: pytest.FixtureRequest):
    """One of each kind that has weights of its own."""
    if request.param == "DCAE":
        return DCAE(str(request.getfixturevalue("dc_folder")))
    return TinyAutoencoder(**request.getfixturevalue("taesd_options"))
