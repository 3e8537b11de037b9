"""What can happen to a run of a week. Afterwards nothing is lost but the steps since the last checkpoint."""

from pathlib import Path

import pytest

from tests.faults.conftest import EVERY, ITERATIONS, Lab, snapshot, weights_files

pytestmark = pytest.mark.slow


def test_kill_9_during_a_checkpoint_write(lab: Lab, tmp_path: Path, time: int) -> None:
    moment = ("half", "unflushed", "unnamed", "unnoted", "unretired")[time % 5]
    killed = lab.train(tmp_path / "run", harm=f'KillInWrite, at={2 * EVERY}, moment="{moment}"')
    assert killed.returncode == -9
    lab.goes_on(tmp_path / "run")


def test_kill_9_between_steps(lab: Lab, tmp_path: Path, time: int) -> None:
    killed = lab.train(tmp_path / "run", f"train_dataloader.num_workers={2 * (time % 2)}", harm=f"KillAt, at={5 + time % 6}")
    assert killed.returncode == -9
    lab.goes_on(tmp_path / "run")


@pytest.mark.parametrize("workers", [0, 2])
def test_twenty_iterations_are_ten_a_kill_and_ten(lab: Lab, tmp_path: Path, time: int, workers: int) -> None:
    """With accumulation, noise from every generator in the step, averaged weights, and validations in between."""
    options = (f"train_dataloader.num_workers={workers}", "default_hooks.checkpoint.interval=10")
    killed = lab.train(tmp_path / "run", *options, harm="KillAt, at=11")
    assert killed.returncode == -9
    assert weights_files(tmp_path / "run") == {"iter_10.pth", "best_psnr_y.pth"}
    resumed = lab.train(tmp_path / "run", *options, resume=True)
    assert resumed.returncode == 0, resumed.stderr
    lab.ended_alike(tmp_path / "run")


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1"])
def test_a_signal_to_every_process_of_the_run(lab: Lab, tmp_path: Path, time: int, name: str) -> None:
    at = 2 + time % 5
    workers = f"train_dataloader.num_workers={2 * (time % 2)}"
    stopped = lab.train(tmp_path / "run", workers, harm=f'KillAt, at={at}, name="{name}", group=True')
    assert stopped.returncode == 75, stopped.stderr
    assert f"{name}: stopped at iteration {at + at % 2}" in stopped.stderr  # two iterations make a step
    assert "Traceback" not in stopped.stderr
    lab.goes_on(tmp_path / "run")


def test_a_signal_during_validation(lab: Lab, tmp_path: Path, time: int) -> None:
    stopped = lab.train(tmp_path / "run", harm="KillInValidation")
    assert stopped.returncode == 75, stopped.stderr
    assert "stopped at iteration 6" in stopped.stderr  # iteration 5 is half a step
    lab.goes_on(tmp_path / "run")


def test_a_write_that_fails_half_way(lab: Lab, tmp_path: Path, time: int) -> None:
    size = (lab.reference / f"iter_{ITERATIONS}.pth").stat().st_size
    failed = lab.train(tmp_path / "run", harm=f"FullDisk, at={EVERY + 1}, limit={size * (1 + time % 5) // 6}")
    assert failed.returncode == 2, failed.stderr
    assert ".pth could not be written: File too large" in failed.stderr
    assert "Traceback" not in failed.stderr
    lab.goes_on(tmp_path / "run")


def test_a_data_worker_is_killed(lab: Lab, tmp_path: Path, time: int) -> None:
    failed = lab.train(tmp_path / "run", "train_dataloader.num_workers=2", harm=f"KillWorker, at={5 + time % 3}")
    assert failed.returncode == 2, failed.stderr
    assert "--resume" in failed.stderr
    assert "Traceback" not in failed.stderr
    lab.goes_on(tmp_path / "run")


def test_nan_at_a_step(lab: Lab, tmp_path: Path, time: int) -> None:
    failed = lab.train(tmp_path / "run", harm=f"NaNAt, at={5 + time % 5}")
    assert failed.returncode == 2, failed.stderr
    assert f"iteration {5 + time % 5}" in failed.stderr
    assert "Traceback" not in failed.stderr
    lab.goes_on(tmp_path / "run")


@pytest.mark.parametrize("begun", [False, True])
def test_a_write_protected_folder(lab: Lab, tmp_path: Path, time: int, begun: bool) -> None:
    """begun: the run's folder is there with a checkpoint; else the folder above it is protected."""
    run = tmp_path / "run"
    if begun:
        lab.train(run, "train_cfg.max_iters=4")
    before = snapshot(tmp_path)
    protected = run if begun else tmp_path
    protected.chmod(0o555)
    refused = lab.train(run, resume=begun)
    protected.chmod(0o755)
    assert refused.returncode == 2, refused.stderr
    assert "Permission denied" in refused.stderr
    assert str(run) in refused.stderr
    assert "Traceback" not in refused.stderr
    assert snapshot(tmp_path) == before


def test_one_rank_of_two_is_killed(lab_of_two_ranks: Lab, tmp_path: Path, time: int) -> None:
    lab = lab_of_two_ranks
    killed = lab.train(tmp_path / "run", harm=f"KillAt, at={5 + time % 6}, rank={(1 + time) % 2}")
    assert killed.returncode == 1, killed.stderr
    assert "Signal 9 (SIGKILL) received" in killed.stderr  # torchrun's words; its agent ends the other rank
    lab.goes_on(tmp_path / "run")


def test_one_rank_of_two_is_told_to_stop(lab_of_two_ranks: Lab, tmp_path: Path, time: int) -> None:
    """Both leave at the same iteration; torchrun's own code is 1 for any other than 0."""
    lab = lab_of_two_ranks
    at = 5 + time % 6
    stopped = lab.train(tmp_path / "run", harm=f'KillAt, at={at}, rank=1, name="SIGTERM"')
    assert stopped.returncode == 1, stopped.stderr
    assert stopped.stderr.count(f"SIGTERM: stopped at iteration {at + at % 2}") == 1  # two iterations make a step
    lab.goes_on(tmp_path / "run")
