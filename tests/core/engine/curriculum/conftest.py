"""A curriculum of seconds: two or three stages of the tiny run, the second with experts."""

import json
import shutil
from pathlib import Path

import pytest

from linearsr.core.engine import run_training
from tests.core.engine.conftest import pictures, write_config

STAGES = """
_dense = model["denoiser"]
_two = dict(_delete_=True, type="ExpertMixture", router=dict(type="UniformRouter", num_experts=2), expert=_dense)
stages = [
    dict(name="pretrain"),
    dict(name="experts", override=dict(model=dict(denoiser=_two))),
    dict(name="sft", override=dict(model=dict(denoiser=_two), train_dataloader=dict(batch_size=1)))]
curriculum = dict(type="ESGF", start="last")
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pictures(tmp_path_factory.mktemp("data"))


@pytest.fixture
def staged(config: Path) -> Path:
    return with_stages(config)


@pytest.fixture(scope="module")
def trained_once(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("curriculum")
    return run_training(with_stages(write_config(folder / "tiny.py", data)), folder / "run")


def with_stages(config: Path) -> Path:
    path = config.with_name("staged.py")
    path.write_text(config.read_text() + STAGES)
    return path


@pytest.fixture
def trained(trained_once: Path, tmp_path: Path) -> Path:
    """A copy, which is a curriculum of its own."""
    return Path(shutil.copytree(trained_once, tmp_path / "run"))


def record(folder: Path) -> dict:
    return json.loads((folder / "stage.json").read_text())
