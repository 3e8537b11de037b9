"""A rank that dies ends all ranks, with the cause said once, and none waits for it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.core.engine.distributed.conftest import PATIENCE, ROOT, Start, environment, free_port

LONG = ["train_cfg.max_iters=100000", "train_cfg.val_interval=100000", "default_hooks.checkpoint.interval=3"]

FAILS_ON_RANK_1 = """
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from linearsr.core.errors import DataError

class Failing(Hook):
    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if batch_idx == 4 and get_rank() == 1:
            raise {error}
"""


def wait_for(path: Path, processes: list["subprocess.Popen[str]"]) -> None:
    """Until the run has got so far."""
    end = time.monotonic() + PATIENCE
    while not path.exists():
        assert time.monotonic() < end, "the run does not begin"
        assert all(process.poll() is None for process in processes), [process.communicate() for process in processes]
        time.sleep(0.05)


def ended(ranks: list["subprocess.Popen[str]"]) -> tuple[list[int], list[str]]:
    """Exit codes, and what was printed as errors. Fails for a rank that hangs."""
    said = [process.communicate(timeout=PATIENCE)[1] for process in ranks]
    return [process.returncode for process in ranks], said


def kill_one(config: Path, folder: Path, start: Start, dead: int, workers: int) -> None:
    ranks = start("train.py", config, "--work-dir", folder, options=[*LONG, f"train_dataloader.num_workers={workers}"])
    wait_for(folder / "iter_3.pth", ranks)
    ranks[dead].kill()
    codes, said = ended(ranks)
    assert codes[dead] == -signal.SIGKILL
    assert codes[1 - dead] == 1
    assert said[1 - dead].count("error: another rank died") == 1
    assert "Traceback" not in said[1 - dead]


def test_a_killed_rank_ends_the_other(config: Path, tmp_path: Path, start: Start) -> None:
    kill_one(config, tmp_path / "run", start, dead=1, workers=0)


@pytest.mark.slow
@pytest.mark.parametrize("dead", [0, 1])
@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("trial", range(3))
def test_whichever_rank_is_killed_the_other_ends(
    config: Path, tmp_path: Path, start: Start, dead: int, workers: int, trial: int
) -> None:
    kill_one(config, tmp_path / "run", start, dead, workers)


@pytest.mark.slow
@pytest.mark.parametrize("trial", range(5))
def test_torchrun_ends_the_others_and_says_which_died(config: Path, tmp_path: Path, trial: int) -> None:
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--master-port", str(free_port())]
    run = [str(ROOT / "tools/train.py"), str(config), "--work-dir", str(tmp_path / "run"), "--launcher", "pytorch"]
    agent = subprocess.Popen(
        [*launch, *run, "--cfg-options", *LONG], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
        env=environment(),
    )  # fmt: skip
    try:
        wait_for(tmp_path / "run" / "iter_3.pth", [agent])
        children = Path(f"/proc/{agent.pid}/task/{agent.pid}/children").read_text().split()
        dead = next(child for child in children if "LOCAL_RANK=1" in Path(f"/proc/{child}/environ").read_text().split("\0"))
        os.kill(int(dead), signal.SIGKILL)
        (code,), (said,) = ended([agent])
    finally:
        agent.kill()
    assert code == 1
    assert f"Signal 9 (SIGKILL) received by PID {dead}" in said
    for child in children:
        assert not Path(f"/proc/{child}").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("error", "codes", "printed"),
    [
        ('DataError("a picture is broken")', [1, 2], "error: a picture is broken\n"),
        ('ZeroDivisionError("a bug")', [1, 1], "ZeroDivisionError: a bug\n"),
    ],
)
def test_an_error_on_one_rank_ends_all_and_is_said_once(
    config: Path, tmp_path: Path, start: Start, error: str, codes: list[int], printed: str
) -> None:
    (tmp_path / "failing.py").write_text(FAILS_ON_RANK_1.format(error=error))
    hooks = "custom_hooks=[dict(type='failing.Failing')]"
    own = config.with_name("own.py")
    own.write_text(f'_base_ = ["{config}"]\n{hooks}\n')
    ranks = start("train.py", own, "--work-dir", tmp_path / "run", options=LONG, PYTHONPATH=f"{ROOT}:{tmp_path}")
    found, said = ended(ranks)
    assert found == codes
    assert said[1].endswith(printed)
    assert "error" not in said[0]
    assert "Traceback" not in said[0]


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_what_one_rank_cannot_read_ends_all_before_there_is_a_folder(
    config: Path, tmp_path: Path, start: Start, rank: int
) -> None:
    own = config.with_name("own.py")
    own.write_text(
        f'import os\n_base_ = ["{config}"]\n'
        f'_here = "/nowhere" if os.environ["SLURM_PROCID"] == "{rank}" else "{tmp_path}/data"\n'
        "train_dataloader = dict(dataset=dict(root=_here))\n"
    )
    codes, said = ended(start("train.py", own, "--work-dir", tmp_path / "run", options=LONG))
    assert codes == [2, 2]
    assert "".join(said).count("error: /nowhere is missing; wanted a folder of pictures") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_folder_that_cannot_be_written_ends_all(config: Path, tmp_path: Path, start: Start) -> None:
    (tmp_path / "file").touch()
    codes, said = ended(start("train.py", config, "--work-dir", tmp_path / "file" / "run", options=LONG))
    assert codes == [2, 2]
    assert "".join(said).count("run: Not a directory; choose another folder with --work-dir") == 1


@pytest.mark.slow
def test_a_rank_that_never_comes_is_not_waited_for_for_ever(config: Path, tmp_path: Path, start: Start) -> None:
    ranks = start("train.py", config, "--work-dir", tmp_path / "run", options=[*LONG, "env_cfg.dist_cfg.timeout=5"])
    ranks[0].kill()
    codes, said = ended(ranks)
    assert codes == [-signal.SIGKILL, 2]
    assert "error: rank 1 of 2 does not find the others at localhost:" in said[1]


@pytest.mark.slow
def test_a_signal_to_one_rank_stops_all_with_everything_saved(config: Path, tmp_path: Path, start: Start) -> None:
    ranks = start("train.py", config, "--work-dir", tmp_path / "run", options=LONG)
    wait_for(tmp_path / "run" / "iter_3.pth", ranks)
    ranks[1].send_signal(signal.SIGTERM)
    codes, said = ended(ranks)
    assert codes == [75, 75]
    assert "".join(said).count("SIGTERM: stopped at iteration") == 1
