"""Stand-ins as fixtures."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.guidance.taggers.stand_ins import write_clip, write_ram


@pytest.fixture
def ram_options(site: Path, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Options of a RAMTagger on the stand-in package, which is forgotten afterwards."""
    yield write_ram(site, tmp_path / "weights")
    for name in [name for name in sys.modules if name.split(".")[0] == "ram"]:
        del sys.modules[name]


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("transformers")
    with torch.random.fork_rng():
        return write_clip(tmp_path_factory.mktemp("clip"))
