"""A curriculum of seconds: two or three stages of the tiny run, the second with experts."""

import json
from pathlib import Path

import pytest

from linearsr.core.engine import run_training

STAGES = """
_dense = model["denoiser"]
_two = dict(_delete_=True, type="ExpertMixture", router=dict(type="UniformRouter", num_experts=2), expert=_dense)
stages = [
    dict(name="pretrain"),
    dict(name="experts", override=dict(model=dict(denoiser=_two))),
    dict(name="sft", override=dict(model=dict(denoiser=_two), train_dataloader=dict(batch_size=1)))]
curriculum = dict(type="ESGF", start="last")
"""


@pytest.fixture
def staged(config: Path) -> Path:
    path = config.with_name("staged.py")
    path.write_text(config.read_text() + STAGES)
    return path


@pytest.fixture
def trained(staged: Path, tmp_path: Path) -> Path:
    return run_training(staged, tmp_path / "run")


def record(folder: Path) -> dict:
    return json.loads((folder / "stage.json").read_text())
