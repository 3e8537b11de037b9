"""Settings for every test: reproducible hypothesis runs, one place for the data folder."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("linearsr", deadline=None, derandomize=True, max_examples=25)
settings.load_profile("linearsr")


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real pictures and weights; a test that needs it is skipped where it is absent."""
    root = os.environ.get("LINEARSR_DATA")
    if not root or not Path(root).is_dir():
        pytest.skip("the environment variable LINEARSR_DATA names no folder")
    return Path(root)
