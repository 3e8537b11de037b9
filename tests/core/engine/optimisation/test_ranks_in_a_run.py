"""A run on two ranks, one of which meets a picture that is not finite: both stop, skip or go back."""

import subprocess
import sys
from pathlib import Path

import pytest

from linearsr.core.engine.checkpoints import read_checkpoint
from tests.core.engine.conftest import ROOT
from tests.core.engine.distributed.conftest import PATIENCE, environment, free_port

HARM = """
optim_wrapper["type"] = "PrecisionOptimWrapper"
default_hooks["divergence"] = dict(type="{hook}")
default_hooks["checkpoint"]["interval"] = 2
custom_hooks = [dict(type="tests.core.engine.optimisation.toys.NaNOnRank", at=4, rank=1)]
"""

pytestmark = pytest.mark.slow


def on_two_ranks(config: Path, folder: Path, hook: str) -> subprocess.CompletedProcess[str]:
    config.write_text(config.read_text() + HARM.format(hook=hook))
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--master-port", str(free_port())]
    words = [str(ROOT / "tools" / "train.py"), str(config), "--work-dir", str(folder), "--launcher", "pytorch"]
    return subprocess.run(launch + words, capture_output=True, text=True, env=environment(COLUMNS="400"), timeout=PATIENCE)


def test_both_stop(config: Path, tmp_path: Path) -> None:
    done = on_two_ranks(config, tmp_path / "run", "DivergenceHook")
    assert done.returncode != 0
    assert done.stderr.count("error: the loss is not finite (nan) on rank 1: the data: hr of the picture ") == 1
    assert "Nothing of iteration 4 was saved" in done.stderr
    assert [path.name for path in (tmp_path / "run").glob("*.pth")] == ["iter_2.pth"]


@pytest.mark.parametrize(
    ("hook", "count", "position"), [("SkipDivergedSteps", "skipped_steps", 24), ("RollBackOnDivergence", "rollbacks", 32)]
)
def test_both_go_on(config: Path, tmp_path: Path, hook: str, count: str, position: int) -> None:
    done = on_two_ranks(config, tmp_path / "run", hook)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("number 1 of at most") == 1  # rank 0 speaks for both
    last = read_checkpoint(tmp_path / "run" / "iter_6.pth")
    assert last["message_hub"]["runtime_info"][count] == 1
    assert last["meta"]["position"] == position
