"""`log.jsonl` of real runs: what is in it, and that every step is there once however often the run was interrupted."""

import re
import warnings
from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook

from linearsr.core.engine import NEWEST, LoggerHook, ThroughputHook, read_log, run_testing
from linearsr.core.errors import ConfigError
from linearsr.core.models import LinearSR
from tests.core.engine.logging.conftest import Train, without_checkpoints

TRAINING = {"loss", "lr", "time", "data_time", "memory_mb"}


def steps(folder: Path, phase: str) -> list[int]:
    return [line["step"] for line in read_log(folder / "log.jsonl", phase)]


def losses(folder: Path) -> list[float]:
    return [line["loss"] for line in read_log(folder / "log.jsonl", "train")]


def test_a_run_logs_every_figure_of_training_and_validation_under_its_own_phase(train: Train, tmp_path: Path) -> None:
    lines = read_log(train(tmp_path / "run", options={"optim_wrapper.type": "PrecisionOptimWrapper"}) / "log.jsonl")
    assert [(line["step"], line["phase"]) for line in lines] == [
        *[(1, "train"), (2, "train"), (3, "train"), (3, "val")],
        *[(4, "train"), (5, "train"), (6, "train"), (6, "val")],
    ]
    trained = [line for line in lines if line["phase"] == "train"]
    assert all(line.keys() >= TRAINING | {"grad_norm"} for line in trained)
    assert all(line.keys() >= {"samples_per_second", "data_share"} for line in trained[1:])  # known from the second on
    rates = [line["lr"] for line in trained]
    assert rates[0] == 1e-3
    assert rates == sorted(rates, reverse=True)
    assert all(line["samples_per_second"] > 0 and 0 <= line["data_share"] < 1 for line in trained[1:])
    assert all(line["memory_mb"] > 10 for line in trained)  # MiB, of an interpreter with torch at least
    for line in lines:
        if line["phase"] == "val":
            assert "psnr_y" in line
            assert not line.keys() & {"loss", "lr", "grad_norm", "samples_per_second"}


def test_the_last_iterations_are_logged_too(train: Train, tmp_path: Path) -> None:
    folder = train(tmp_path / "run", options={"default_hooks.logger.interval": 4})
    assert steps(folder, "train") == [4, 6]


def test_an_interrupted_and_resumed_run_has_each_step_once_with_the_figures_of_a_straight_one(
    train: Train, tmp_path: Path
) -> None:
    straight = train(tmp_path / "straight")
    folder = train(tmp_path / "run", stop=5)
    assert steps(folder, "train") == [1, 2, 3, 4, 5]
    with open(folder / "log.jsonl", "a") as file:
        file.write('{"step": 6, "phase": "tr')  # where a kill caught it
    train(folder, resume=NEWEST)  # from iteration 3, whose validation is done again
    assert steps(folder, "train") == [1, 2, 3, 4, 5, 6]
    assert steps(folder, "val") == [3, 6]
    assert losses(folder) == losses(straight)
    ordered = [line["step"] for line in read_log(folder / "log.jsonl")]
    assert ordered == sorted(ordered)
    assert len((folder / "log.jsonl").read_text().splitlines()) == 8


def test_a_validation_that_is_not_repeated_on_resume_keeps_its_line(train: Train, tmp_path: Path) -> None:
    folder = train(tmp_path / "run", options={"train_cfg.max_iters": 4})
    assert steps(folder, "val") == [3, 4]
    train(folder, resume=NEWEST)
    assert steps(folder, "val") == [3, 4, 6]


def test_a_new_run_in_the_folder_sets_the_old_log_aside(train: Train, tmp_path: Path) -> None:
    folder = train(tmp_path / "run")
    old = (folder / "log.jsonl").read_bytes()
    without_checkpoints(folder)
    train(folder, options={"train_cfg.max_iters": 2})
    assert (folder / "log.1.jsonl").read_bytes() == old
    assert steps(folder, "train") == [1, 2]


def test_steps_after_a_roll_back_replace_the_ones_before_it(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest, calls = LinearSR.loss, []

    def broken(self: LinearSR, *batch: object) -> dict[str, torch.Tensor]:
        calls.append(1)
        loss = honest(self, *batch)["loss"]
        return {"loss": loss * float("nan") if len(calls) in (5, 6) else loss}  # the second time to find where it began

    monkeypatch.setattr(LinearSR, "loss", broken)
    options = {"optim_wrapper.type": "PrecisionOptimWrapper", "default_hooks.divergence": {"type": "RollBackOnDivergence"}}
    folder = train(tmp_path / "run", options=options)
    assert steps(folder, "train") == [1, 2, 3, 4, 5, 6]
    lines = read_log(folder / "log.jsonl", "train")
    assert lines[3]["rollbacks"] == 1  # step 4 is there as it was done the second time
    assert lines[3]["lr"] == pytest.approx(0.5e-3 * 0.5)  # half of the cosine's half, with a factor of 0.5


def test_a_test_in_the_runs_folder_leaves_the_log_alone(train: Train, config: Path, tmp_path: Path) -> None:
    folder = train(tmp_path / "run")
    before = (folder / "log.jsonl").read_bytes()
    run_testing(config, folder, folder)
    assert (folder / "log.jsonl").read_bytes() == before
    assert not (folder / "log.1.jsonl").exists()


def test_ranks_but_the_first_write_nothing(train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmengine.dist.utils.get_rank", lambda group=None: 1)
    folder = train(tmp_path / "run", "JSONLinesBackend", "TensorboardBackend", "WandbBackend")
    assert not [
        path for path in folder.iterdir() if path.name in ("log.jsonl", "tensorboard", "wandb", "wandb_run.json", "validation")
    ]


class SpeaksUp(Hook):
    """A hook of somebody else that logs on its own."""

    def after_train_iter(self, runner: object, batch_idx: int, data_batch: object = None, outputs: object = None) -> None:
        runner.visualizer.add_scalar("theirs/value", 1.5, step=batch_idx + 1)


def test_what_other_hooks_log_has_lines_of_its_own(train: Train, tmp_path: Path) -> None:
    options = {"custom_hooks": [{"type": f"{__name__}.SpeaksUp"}], "train_cfg.max_iters": 2}
    lines = read_log(train(tmp_path / "run", options=options) / "log.jsonl", "train")
    assert [line["step"] for line in lines if line.get("theirs/value") == 1.5] == [1, 2]
    assert [line["step"] for line in lines if "loss" in line] == [1, 2]


def test_a_log_that_cannot_be_written_costs_a_warning_and_not_the_run(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(path: Path, line: dict) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("linearsr.core.engine.logging.json_lines_backend.append_line", full)
    folder = train(tmp_path / "run")
    assert (folder / "iter_6.pth").is_file()
    assert capsys.readouterr().err.count("No space left on device") == 1  # of eight lines that were lost


def test_each_learning_rate_is_logged_once(train: Train, tmp_path: Path) -> None:
    options = {"optim_wrapper.paramwise_cfg": {"custom_keys": {"denoiser.head": {"lr_mult": 0.1}}}}
    first = read_log(train(tmp_path / "run", options=options) / "log.jsonl", "train")[0]
    rates = {name: value for name, value in first.items() if name.startswith("lr")}
    assert sorted(rates.values()) == pytest.approx([1e-4, 1e-3])
    assert rates["lr"] == 1e-3


@pytest.mark.parametrize("hook", [LoggerHook, ThroughputHook])
def test_an_interval_or_window_below_one_is_refused(hook: type) -> None:
    with pytest.raises(ConfigError, match="wanted ≥ 1"):
        hook(0)


def test_a_save_dir_elsewhere_is_refused(train: Train, tmp_path: Path) -> None:
    backends = [{"type": "JSONLinesBackend", "save_dir": str(tmp_path / "elsewhere")}]
    with pytest.raises(ConfigError, match="leave save_dir out"):
        train(tmp_path / "run", options={"visualizer.vis_backends": backends})


@pytest.mark.parametrize("wrapper", ["OptimWrapper", "PrecisionOptimWrapper"])
def test_the_console_has_progress_and_results_and_nothing_else(
    train: Train, tmp_path: Path, capfd: pytest.CaptureFixture[str], wrapper: str
) -> None:
    """With gradients that accumulate, on a start and on a resume: each has made mmengine warn of its own doing."""
    options = {"optim_wrapper.type": wrapper, "optim_wrapper.accumulative_counts": 3}
    with warnings.catch_warnings(record=True) as warned:
        folder = train(tmp_path / "run", stop=5, options=options)
        train(folder, resume=NEWEST, options=options)
    said = capfd.readouterr()
    assert said.out == ""
    assert not warned
    shape = r"(training \d/6  loss \d+\.\d{4}  (\S+ samples/s  )?remaining \d:\d\d:\d\d|validation at iteration \d: psnr_y \S+)"
    assert [line for line in said.err.splitlines() if not re.fullmatch(shape, line)] == []
    assert "samples/s" in said.err
