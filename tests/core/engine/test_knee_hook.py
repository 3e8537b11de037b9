"""The knee of a run: found, kept, ended at, and found again after a kill or a step back."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import Hook

from linearsr.core.engine import run_training
from linearsr.core.engine.hooks import KneeHook
from linearsr.core.engine.hooks.knee_files import KneeFiles
from linearsr.core.errors import CheckpointError, ConfigError, DivergenceError, LinearSRError

HERE = "tests.core.engine.test_knee_hook"
RISE = [1.0, 2.0, 3.0, 3.8, 4.4, 4.7, 4.72, 4.71, 4.73, 4.72, 4.72, 4.71, 4.73, 4.72, 4.73, 4.72, 4.71, 4.72, 4.73, 4.72]
"""A metric of validations 1, 2, 3, …; its knee is the sixth."""
KNEE = "default_hooks.knee={'type':'KneeHook','knee':{'type':'KneeDetector','directions':{'psnr_y':1},'patience':4,'window':3}}"


class Scripted(Hook):
    """Says of validation n what RISE has. stop_at: an iteration that it does not live to see."""

    priority = "HIGHEST"
    stop_at = None

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter + 1 == type(self).stop_at:
            raise KeyboardInterrupt

    def after_val_epoch(self, runner, metrics=None):
        metrics["psnr_y"] = RISE[runner.iter // 2 - 1]


def train(config: Path, folder: Path, *options: str, resume=None, hooks=f"custom_hooks=[{{'type':'{HERE}.Scripted'}}]"):
    chosen = [KNEE, "train_cfg.max_iters=40", "train_cfg.val_interval=2", "default_hooks.checkpoint.interval=4", *options]
    return run_training(config, folder, resume, [*chosen, hooks])


def said(folder: Path) -> dict:
    return json.loads((folder / "knee.json").read_text())


def weights(path: Path) -> dict:
    return torch.load(path, weights_only=True)["state_dict"]


def test_a_run_ends_when_its_knee_is_confirmed_and_keeps_it(config, tmp_path):
    folder = train(config, tmp_path / "run", "default_hooks.checkpoint.max_keep_ckpts=-1")
    state = said(folder)["state"]
    assert state["confirmed"]
    assert state["knee_step"] in (10, 12)
    end = said(folder)["evaluations"][-1]["step"]
    assert end < 40
    assert {path.name for path in folder.glob("*.pth")} == {
        "knee.pth", *(f"iter_{n}.pth" for n in range(4, end + 1, 4)), f"iter_{end}.pth"
    }  # fmt: skip
    knee = torch.load(folder / "knee.pth", weights_only=True)
    assert knee["meta"]["iter"] == state["knee_step"]
    assert "optimizer" not in knee
    if state["knee_step"] % 4 == 0:
        same = weights(folder / f"iter_{state['knee_step']}.pth")
        assert all(torch.equal(value, same[name]) for name, value in knee["state_dict"].items())


def test_a_run_that_goes_on_keeps_the_same_knee(config, tmp_path):
    ended = train(config, tmp_path / "ended")
    went_on = train(config, tmp_path / "went_on", "default_hooks.knee.stop=False")
    assert said(went_on)["evaluations"][-1]["step"] == 40
    assert said(went_on)["state"]["knee_step"] == said(ended)["state"]["knee_step"]
    one, other = weights(ended / "knee.pth"), weights(went_on / "knee.pth")
    assert all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.parametrize("at", [9, *(pytest.param(at, marks=pytest.mark.slow) for at in (3, 14, 19))])
def test_a_run_that_was_killed_finds_the_same_knee(config, tmp_path, monkeypatch, at):
    whole = train(config, tmp_path / "whole")
    monkeypatch.setattr(Scripted, "stop_at", at)
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "killed")
    monkeypatch.setattr(Scripted, "stop_at", None)
    resumed = train(config, tmp_path / "killed", resume="newest" if at > 4 else None)
    assert said(resumed) == said(whole)
    assert {path.name for path in resumed.glob("*.pth")} == {path.name for path in whole.glob("*.pth")}
    one, other = weights(whole / "knee.pth"), weights(resumed / "knee.pth")
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_files_that_cannot_be_the_knee_any_more_are_deleted_and_no_others(config, tmp_path, monkeypatch):
    kept: dict[int, set[int]] = {}
    states: dict[int, object] = {}

    class Watch(Hook):
        priority = "LOWEST"

        def after_val_epoch(self, runner, metrics=None):
            hook = next(hook for hook in runner.hooks if isinstance(hook, KneeHook))
            states[runner.iter] = hook.said
            files = Path(runner.work_dir).glob("knee_candidate_*.pth")
            kept[runner.iter] = {int(path.stem.rpartition("_")[2]) for path in files}

    monkeypatch.setitem(globals(), "Watch", Watch)
    chosen = [KNEE, "train_cfg.max_iters=40", "train_cfg.val_interval=2", "default_hooks.checkpoint.interval=2"]
    both = (
        "custom_hooks=[{'type':'tests.core.engine.test_knee_hook.Scripted'},{'type':'tests.core.engine.test_knee_hook.Watch'}]"
    )
    run_training(config, tmp_path / "run", None, [*chosen, both])
    before_last = sorted(kept)[:-1]
    for step, later in zip(before_last, sorted(kept)[1:], strict=True):
        wanted = {n for n in sorted(kept) if n <= step and n >= (states[step].earliest_possible or 0)}
        assert wanted <= kept[step]
        assert min(kept[later], default=later) >= (states[step].earliest_possible or 0) or later == max(kept)


def test_a_knee_whose_file_is_gone_is_an_error_that_names_it(tmp_path):
    with pytest.raises(CheckpointError, match=r"the knee is iteration 6, but there is no .*knee_candidate_6\.pth"):
        KneeFiles(tmp_path).settle(6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["default_hooks.knee.knee.directions={'psnr':1}"], "knee.directions names 'psnr'; did you mean 'psnr_y'"),
        (["default_hooks.knee.knee.directions={'psnr_y':2}"], "psnr_y"),
        (["val_dataloader=None", "val_cfg=None", "val_evaluator=None"], "nothing is validated"),
        (["optim_wrapper.accumulative_counts=3", "default_hooks.checkpoint.interval=3"], "no multiple of optim_wrapper"),
        (["default_hooks.knee.knee.directions={'psnr_y@1':1}"], "wanted 'psnr_y', over all pictures, or '<data set>/psnr_y@"),
        (["default_hooks.knee.knee.directions={'tiny/psnr_y@4':1}"], "validation takes 1 steps"),
        (["train_cfg.max_iters=8"], "4 validations .* are too few to confirm a knee with patience 4"),
        (["custom_hooks=[{'type':'KneeHook','knee':{'type':'KneeDetector','directions':{'psnr_y':1}}}]"], "two hooks look for"),
        (["default_hooks.knee.patience=3"], "KneeHook has no key 'patience'"),
    ],
)
def test_settings_that_do_not_go_together_are_refused_before_a_folder_exists(config, tmp_path, options, message):
    with pytest.raises(LinearSRError, match=message):
        run_training(config, tmp_path / "run", None, [KNEE, "train_cfg.max_iters=40", "train_cfg.val_interval=2", *options])
    assert not (tmp_path / "run").exists()


class PlainDetector:
    """Another's: a knee at step 6, told at step 10; its states have the fields of the protocol and nothing else."""

    def __init__(self, directions):
        self.directions, self.steps = directions, []

    def update(self, step, metrics):
        self.steps.append(step)
        seen = step >= 10
        return SimpleNamespace(
            phase="plateau" if seen else "improve",
            knee_step=6 if seen else None,
            confirmed=seen,
            confidence=1.0,
            onset_step=None,
            superseded=None,
            earliest_possible=6 if step >= 6 else None,
        )

    def state_dict(self):
        return {"steps": self.steps}

    def load_state_dict(self, state):
        self.steps = list(state["steps"])


@pytest.mark.parametrize("at", [None, 9])
def test_a_detector_of_anothers_needs_the_fields_of_the_protocol_alone(config, tmp_path, monkeypatch, at):
    other = KNEE.replace("'KneeDetector'", f"'{HERE}.PlainDetector'").replace(",'patience':4,'window':3", "")
    monkeypatch.setattr(Scripted, "stop_at", at)
    if at is not None:
        with pytest.raises(KeyboardInterrupt):
            train(config, tmp_path / "run", other)
        monkeypatch.setattr(Scripted, "stop_at", None)
    folder = train(config, tmp_path / "run", other, resume=None if at is None else "newest")
    assert said(folder)["state"]["knee_step"] == 6
    assert torch.load(folder / "knee.pth", weights_only=True)["meta"]["iter"] == 6
    assert train(config, folder, other, resume="newest") == folder  # a run that has ended with its knee ends again


def test_every_roll_back_slows_the_run_down_further(config, tmp_path):
    """To one candidate each time; the file says how fast the run was when it was written."""
    nan = f"custom_hooks=[{{'type':'{HERE}.Scripted'}},{{'type':'{HERE}.NaNAt','at':[13,15,17]}}]"
    chosen = ["default_hooks.divergence.type=RollBackToKnee", "optim_wrapper.type=PrecisionOptimWrapper",
              "default_hooks.knee.optimizer=True", "default_hooks.checkpoint.interval=10"]  # fmt: skip
    folder = train(config, tmp_path / "run", *chosen, hooks=nan)
    last = torch.load(folder / (folder / "last_checkpoint").read_text(), weights_only=True)
    assert last["message_hub"]["runtime_info"]["rollbacks"] == 3
    assert last["message_hub"]["runtime_info"]["lr_scale"] == 0.125


@pytest.mark.parametrize("kind", ["RollBackToKnee", "RollBackOnDivergence"])
def test_candidates_are_no_checkpoints_to_roll_back_to_unless_they_are_the_knee(config, tmp_path, kind):
    """Before there is a candidate and a numbered checkpoint, there is nothing to go back to, which is said."""
    nan = f"custom_hooks=[{{'type':'{HERE}.Scripted'}},{{'type':'{HERE}.NaNAt','at':[4]}}]"
    chosen = [f"default_hooks.divergence.type={kind}", "optim_wrapper.type=PrecisionOptimWrapper",
              "default_hooks.knee.optimizer=True", "default_hooks.checkpoint.interval=10"]  # fmt: skip
    with pytest.raises(DivergenceError, match="no checkpoint of this run yet"):
        train(config, tmp_path / "run", *chosen, hooks=nan)


def test_rolling_back_to_a_knee_needs_one_with_its_optimiser(config, tmp_path):
    with pytest.raises(ConfigError, match="RollBackToKnee needs a knee"):
        train(config, tmp_path / "run", "default_hooks.divergence.type=RollBackToKnee",
              "optim_wrapper.type=PrecisionOptimWrapper")  # fmt: skip
    assert not (tmp_path / "run").exists()


class NaNAt(Hook):
    """Once at each of the iterations."""

    def __init__(self, at):
        self.at = list(at)

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter + 1 in self.at:
            data_batch["hr"][0, 0, 0, 0] = float("nan")
            self.at.remove(runner.iter + 1)


@pytest.mark.parametrize(("at", "stop"), [(9, True), (30, False)])
def test_a_run_that_diverges_goes_back_to_its_knee_or_ends_there(config, tmp_path, at, stop):
    hooks = f"custom_hooks=[{{'type':'{HERE}.Scripted'}},{{'type':'{HERE}.NaNAt','at':[{at}]}}]"
    chosen = [KNEE, "train_cfg.max_iters=40", "train_cfg.val_interval=2", "default_hooks.checkpoint.interval=4",
              "default_hooks.divergence.type=RollBackToKnee", "optim_wrapper.type=PrecisionOptimWrapper",
              "default_hooks.knee.optimizer=True", f"default_hooks.knee.stop={stop}", hooks]  # fmt: skip
    folder = run_training(config, tmp_path / "run", None, chosen)
    state, evaluations = said(folder)["state"], said(folder)["evaluations"]
    assert state["confirmed"]
    steps = [one["step"] for one in evaluations]
    assert steps == sorted(set(steps))
    if stop:  # it went back, with half the rate, and found its knee later
        last = torch.load(folder / (folder / "last_checkpoint").read_text(), weights_only=True)
        assert last["message_hub"]["runtime_info"]["lr_scale"] == 0.5
        assert last["message_hub"]["runtime_info"]["rollbacks"] == 1
    else:  # it ended with the knee that it had
        assert steps[-1] == 28
        assert (folder / "knee.pth").is_file()
