"""kill -9 in every stage of a curriculum and at every hand-over: the next start ends as if nothing had happened."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.core.engine.conftest import ROOT
from tests.faults.conftest import custom_hooks, equal, losses, written_config
from tests.faults.curriculum_hooks import HARM, KNEES

pytestmark = pytest.mark.slow

STAGES = """
_dense = model["denoiser"]
_two = dict(_delete_=True, type="ExpertMixture", router=dict(type="UniformRouter", num_experts=2), expert=_dense)
default_hooks["knee"] = dict(type="KneeHook", optimizer=True, knee=dict(
    type="KneeDetector", directions={"psnr_y": +1}, patience=3, window=3))
train_cfg = dict(max_iters=60, val_interval=2)
stages = [
    dict(name="pretrain"),
    dict(name="experts", override=dict(model=dict(denoiser=_two))),
    dict(name="sft", optimizer="kept", override=dict(model=dict(denoiser=_two), train_dataloader=dict(batch_size=1)))]
"""
MOMENTS = [
    f"{stage}:{moment}" for stage in KNEES for moment in ("1", "5", "14", "settling", "unrecorded", "recording", "recorded")
]


def train(config: Path, folder: Path, harm: str = "", resume: bool = False) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, str(ROOT / "tools/train.py"), str(config), "--work-dir", str(folder), *["--resume"] * resume]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "COLUMNS": "400", HARM: harm}
    return subprocess.run(words, capture_output=True, text=True, env=environment, timeout=300)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = written_config(tmp_path_factory.mktemp("curriculum"), batch_size=2)
    hooks = custom_hooks("LossLog", "NoiseFromEveryGenerator").replace(
        "]", ', dict(type="tests.faults.curriculum_hooks.ScriptedMetric"), dict(type="tests.faults.curriculum_hooks.Harm")]'
    )
    path.write_text(path.read_text() + STAGES + hooks)
    return path


@pytest.fixture(scope="module")
def reference(config: Path) -> Path:
    folder = config.parent / "straight"
    done = train(config, folder)
    assert done.returncode == 0, done.stderr
    return folder


def outcome(folder: Path) -> dict:
    """Of every stage: what it started from, how it ended, its knee, its losses."""
    found = {}
    for name in KNEES:
        record = json.loads((folder / name / "stage.json").read_text())
        del record["record"], record["start"]["fingerprint"]  # the file has times of the clock in it
        found[name] = record | {"losses": losses(folder / name)}
    return found


def test_the_unharmed_curriculum_ends_each_stage_at_its_knee(reference):
    found = outcome(reference)
    assert {name: stage["ended"] for name, stage in found.items()} == dict.fromkeys(KNEES, "knee")
    assert all(abs(found[name]["knee"]["state"]["knee_step"] - knee) <= 2 for name, knee in KNEES.items())
    assert found["experts"]["start"]["told"].startswith("pretrain@knee (iteration ")


@pytest.mark.parametrize("harm", MOMENTS)
def test_kill_9(config, reference, tmp_path, harm):
    killed = train(config, tmp_path / "run", harm)
    assert killed.returncode == -9, killed.stderr
    resumed = train(config, tmp_path / "run", resume=True)
    assert resumed.returncode == 0, resumed.stderr
    assert outcome(tmp_path / "run") == outcome(reference)
    for name in KNEES:
        mine, theirs = (torch.load(folder / name / "knee.pth", weights_only=True) for folder in (tmp_path / "run", reference))
        for part in ("state_dict", "ema_state_dict", "optimizer", "knee"):
            assert equal(mine[part], theirs[part]), f"{part} of {name} differs"
        assert {path.name for path in (tmp_path / "run" / name).glob("*.pth")} == {
            path.name for path in (reference / name).glob("*.pth")
        }
    assert not [path for path in (tmp_path / "run").rglob("*") if path.name.startswith(".")]
    assert "experts@knee (iteration" in (tmp_path / "run" / "report.html").read_text()
