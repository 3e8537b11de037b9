"""When checkpoints are written and which are kept, in real runs of six iterations."""

import errno
import os
from pathlib import Path

import pytest

from linearsr.core.engine import NEWEST, run_testing, run_training
from linearsr.core.engine.checkpoints import files
from linearsr.core.engine.hooks import CheckpointHook
from linearsr.core.errors import CheckpointError, ConfigError, WeightsError


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*.pth")}


@pytest.mark.parametrize(
    ("interval", "keep", "left"),
    [(1, 2, {5, 6}), (4, -1, {4, 6}), (6, 1, {6}), (100, 3, {6}), (2, 1, {6})],
)
def test_the_newest_stay_and_the_last_iteration_is_saved(config: Path, tmp_path: Path, interval, keep, left) -> None:
    options = {"default_hooks.checkpoint.interval": interval, "default_hooks.checkpoint.max_keep_ckpts": keep}
    folder = run_training(config, tmp_path / "run", options=options)
    assert names(folder) == {f"iter_{n}.pth" for n in left}
    assert (folder / "last_checkpoint").read_text() == "iter_6.pth"


class Validated:
    """A runner as far as the hook sees one: what it was told to save."""

    _train_loop = object()

    def __init__(self) -> None:
        self.iter, self.saved = 0, []
        self.message_hub = self
        self.runtime_info: dict = {}

    def update_info(self, key, value):
        self.runtime_info[key] = value

    def save(self, name, iteration, *, optimizer):
        self.saved.append((name, iteration, optimizer))


def test_a_best_file_is_written_when_its_own_metric_gets_better() -> None:
    runner, hook = Validated(), CheckpointHook(save_best=["psnr_y", "set/niqe"])
    for runner.iter, (psnr, niqe) in enumerate([(20.0, 5.0), (21.0, 6.0), (21.0, 4.0), (19.0, 4.5)]):
        hook.after_val_epoch(runner, {"psnr_y": psnr, "set/niqe": niqe})
    expected = [("psnr_y", 0), ("set_niqe", 0), ("psnr_y", 1), ("set_niqe", 2)]
    assert runner.saved == [(f"best_{name}.pth", iteration, False) for name, iteration in expected]
    assert runner.runtime_info == {"best_psnr_y": 21.0, "best_set/niqe": 4.0}


def test_a_best_file_is_weights_and_no_checkpoint_to_resume(config: Path, tmp_path: Path) -> None:
    options = {"default_hooks.checkpoint.save_best": "psnr_y"}
    folder = run_training(config, tmp_path / "run", options=options)
    run_testing(config, folder / "best_psnr_y.pth", tmp_path / "tested")
    with pytest.raises(WeightsError, match="lacks optimizer"):
        run_training(config, tmp_path / "run", resume=folder / "best_psnr_y.pth", options=options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"save_best": "sharpness"}, "which way is better for 'sharpness'"),
        ({"save_best": "psnr_y", "rule": "higher"}, "rule is 'higher'"),
        ({"save_best": ["psnr_y", "niqe"], "rule": ["greater"]}, "1 rules for 2 metrics"),
        ({"interval": 0}, "interval=0"),
        ({"max_keep_ckpts": 0}, "max_keep_ckpts=0"),
    ],
)
def test_what_makes_no_hook_is_refused(options, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        CheckpointHook(**options)


@pytest.mark.parametrize(
    ("metric", "rule"),
    [("psnr_y", "greater"), ("bundled/ssim_y", "greater"), ("niqe", "less"), ("lpips_alex", "less")],
)
def test_known_metrics_need_no_rule(metric: str, rule: str) -> None:
    assert CheckpointHook(save_best=metric).best == {metric: rule}


def test_a_metric_that_is_not_measured_is_refused_before_the_run(config: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"save_best names 'psnr'; did you mean 'psnr_y'\? val_evaluator measures psnr_y"):
        run_training(config, tmp_path / "run", options={"default_hooks.checkpoint.save_best": "psnr"})
    assert not (tmp_path / "run").exists()


def test_an_interval_that_would_lose_gathered_gradients_is_refused(config: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"interval is 3, no multiple of optim_wrapper\.accumulative_counts = 2"):
        run_training(config, tmp_path / "run", options={"optim_wrapper.accumulative_counts": 2})


def test_a_score_that_is_no_number_is_no_best() -> None:
    runner, hook = Validated(), CheckpointHook(save_best="psnr_y")
    for runner.iter, psnr in enumerate([float("nan"), 20.0, float("nan"), 21.0]):
        hook.after_val_epoch(runner, {"psnr_y": psnr})
    assert [iteration for _, iteration, _ in runner.saved] == [1, 3]


def test_a_best_of_nothing_is_refused_before_the_run(config: Path, tmp_path: Path) -> None:
    options = {"default_hooks.checkpoint.save_best": "psnr_y", "val_dataloader": None, "val_evaluator": None, "val_cfg": None}
    with pytest.raises(ConfigError, match="names psnr_y, but nothing is validated"):
        run_training(config, tmp_path / "run", options=options)
    assert not (tmp_path / "run").exists()


def test_a_new_run_does_not_replace_another(config: Path, tmp_path: Path) -> None:
    folder = run_training(config, tmp_path / "run")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    with pytest.raises(ConfigError, match=r"holds a run already \(iter_6\.pth\); add --resume"):
        run_training(config, folder)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


@pytest.mark.filterwarnings("ignore::linearsr.core.config_merging.OverrideNote")  # keys of CheckpointHook are dropped
@pytest.mark.parametrize(
    ("label", "kind"),
    [
        ("checkpoint", "CheckpointHook"),
        ("divergence", "DivergenceHook"),
        ("graceful_stop", "GracefulStopHook"),
        ("lost_samples", "LostSamplesHook"),
    ],
)
def test_what_saves_and_guards_a_run_cannot_be_taken_out(config: Path, tmp_path: Path, label: str, kind: str) -> None:
    for options in ({f"default_hooks.{label}": None}, {f"default_hooks.{label}.type": "ThroughputHook"}):
        with pytest.raises(ConfigError, match=rf"default_hooks\.{label} is (None; every run has one|no {kind})"):
            run_training(config, tmp_path / "run", options=options)
        assert not (tmp_path / "run").exists()


def test_a_note_that_cannot_be_written_is_a_checkpoint_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path, text):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files, "write_text", full)
    with pytest.raises(CheckpointError, match="last_checkpoint could not be written: No space left"):
        files.note_newest(tmp_path / "iter_3.pth")


def test_a_metric_of_others_that_is_not_measured_is_named_with_what_is() -> None:
    with pytest.raises(ConfigError, match=r"save_best names 'lpips', which validation does not measure: psnr_y"):
        CheckpointHook(save_best="lpips").after_val_epoch(Validated(), {"psnr_y": 20.0})


def test_a_run_that_is_past_its_end_says_so(config: Path, tmp_path: Path) -> None:
    folder = run_training(config, tmp_path / "run")
    with pytest.raises(ConfigError, match=r"is at iteration 6, past train_cfg\.max_iters = 2"):
        run_training(config, folder, resume=NEWEST, options=["train_cfg.max_iters=2"])
