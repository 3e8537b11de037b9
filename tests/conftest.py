"""Settings for every test: reproducible hypothesis runs, one place for the data folder."""

import os
from pathlib import Path

import pytest
import torch
from hypothesis import settings

if "PYTEST_XDIST_WORKER" in os.environ:
    torch.set_num_threads(1)  # one process per core already

settings.register_profile("linearsr", deadline=None, derandomize=True, max_examples=25)
settings.load_profile("linearsr")


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real pictures and weights; a test that needs it is skipped where it is absent."""
    root = os.environ.get("LINEARSR_DATA")
    if not root or not Path(root).is_dir():
        pytest.skip("the environment variable LINEARSR_DATA names no folder")
    return Path(root)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed packages of the test's own."""
    folder = tmp_path / "site"
    monkeypatch.syspath_prepend(str(folder))
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """GPU tests are skipped, with a reason, where there is no device."""
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="no CUDA device here"))
