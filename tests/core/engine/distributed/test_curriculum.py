"""A curriculum of two processes beside that of one."""

import json
from pathlib import Path

import pytest
import torch

from linearsr.core.engine import run_training
from tests.core.engine.conftest import scalars
from tests.core.engine.distributed.conftest import Done

STAGES = """
_two = dict(_delete_=True, type="ExpertMixture", router=dict(type="UniformRouter", num_experts=2), expert=model["denoiser"])
default_hooks["knee"] = dict(type="KneeHook", knee=dict(
    type="KneeDetector", directions={"psnr_y": +1}, patience=3, window=3))
train_cfg = dict(max_iters=60, val_interval=2)
model_wrapper_cfg = dict(type="ReplicatedModel", find_unused_parameters=True)
custom_hooks = [dict(type="tests.faults.curriculum_hooks.ScriptedMetric")]
stages = [dict(name="pretrain"), dict(name="experts", override=dict(model=dict(denoiser=_two)))]
"""


@pytest.mark.slow
def test_two_processes_go_through_the_stages_as_one(config: Path, tmp_path: Path, torchrun) -> None:
    config.write_text(config.read_text() + STAGES)
    one = run_training(config, tmp_path / "one", options={"train_dataloader.batch_size": 4})
    two = tmp_path / "two"
    done: Done = torchrun("train.py", config, "--work-dir", two, "--cfg-options", "train_dataloader.batch_size=2")
    assert done.returncode == 0, done.stderr
    for name in ("pretrain", "experts"):
        records = [json.loads((folder / name / "stage.json").read_text()) for folder in (one, two)]
        assert records[0]["start"]["told"] == records[1]["start"]["told"]
        assert records[0]["knee"] == records[1]["knee"]
        assert records[0]["ended"] == records[1]["ended"] == "knee"
        # float32 means of two and two against one of four: 6e-8 each, over some twenty steps of AdamW
        assert scalars(two / name, "loss") == pytest.approx(scalars(one / name, "loss"), rel=1e-5)
        knees = [torch.load(folder / name / "knee.pth", weights_only=True)["meta"]["iter"] for folder in (one, two)]
        assert knees[0] == knees[1]
    assert done.stderr.count("stage experts (2 of 2): from pretrain@knee") == 1
