"""Stages one after the other: what each begins with, what it leaves, and how it goes on."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook

from linearsr.core.config import load_config
from linearsr.core.engine import run_testing, run_training
from linearsr.core.errors import ConfigError, LinearSRError, WeightsError
from linearsr.core.stages import stages_of
from linearsr.core.weights import read_state_dict
from tests.core.engine.curriculum.conftest import STAGES, record


def write(staged: Path, stages: str) -> Path:
    staged.write_text(staged.read_text().replace(STAGES, "") + stages)
    return staged


def test_every_stage_has_a_folder_that_is_a_run_of_its_own(staged, trained):
    for name in ("pretrain", "experts", "sft"):
        assert {"iter_6.pth", "log.jsonl", "start.json", "stage.json", "staged.py", "train.json"} <= {
            path.name for path in (trained / name).iterdir()
        }
        assert load_config(trained / name / "staged.py").model.denoiser.type in ("LinearDiT", "ExpertMixture")
    assert [record(trained / name)["start"]["told"] for name in ("pretrain", "experts", "sft")] == [
        None,
        "pretrain@last (iteration 6)",
        "experts@last (iteration 6)",
    ]
    assert {path.name for path in trained.iterdir()} == {"pretrain", "experts", "sft", "report.html", "curriculum.py"}
    assert stages_of(load_config(trained / "curriculum.py"))[2].name == "sft"


def test_a_stage_begins_with_the_averaged_weights_of_the_one_before(staged, tmp_path):
    options = ["optim_wrapper.optimizer.lr=0.0", "optim_wrapper.optimizer.weight_decay=0.0"]
    folder = run_training(staged, tmp_path / "still", None, options)
    dense = read_state_dict(folder / "pretrain" / "iter_6.pth")
    mixture = read_state_dict(folder / "sft" / "iter_6.pth")
    for name, value in dense.items():
        for k in range(2):
            assert torch.equal(mixture[name.replace("denoiser.", f"denoiser.experts.{k}.")], value)


def test_stages_draw_different_samples(trained):
    seeds = [torch.load(trained / name / "iter_6.pth", weights_only=True)["meta"]["seed"] for name in ("pretrain", "experts")]
    assert seeds[0] != seeds[1]


def test_a_finished_curriculum_is_left_as_it_is(staged, trained, capsys):
    before = {path: path.stat().st_mtime_ns for path in trained.rglob("*.pth")}
    run_training(staged, trained, "newest")
    assert {path: path.stat().st_mtime_ns for path in trained.rglob("*.pth")} == before
    assert "stage sft (3 of 3): finished before, 6 iterations" in capsys.readouterr().err


def test_a_curriculum_begins_in_a_folder_of_its_own(staged, trained, config, tmp_path):
    with pytest.raises(ConfigError, match="holds a curriculum already; add --resume"):
        run_training(staged, trained)
    with pytest.raises(WeightsError, match=r"no stage in .*leave --resume out"):
        run_training(staged, tmp_path / "new", "newest")
    plain = run_training(config, tmp_path / "plain")
    with pytest.raises(ConfigError, match="holds a run without stages"):
        run_training(staged, plain)
    with pytest.raises(ConfigError, match="give no checkpoint"):
        run_training(staged, trained, "iter_3.pth")


def test_a_finished_stage_of_another_config_is_refused(staged, trained):
    with pytest.raises(ConfigError, match=r"'pretrain' in .* was finished with another config"):
        run_training(staged, trained, "newest", ["optim_wrapper.optimizer.lr=0.5"])


def test_a_later_stages_lack_of_data_is_said_before_the_first_begins(staged, tmp_path):
    path = write(staged, 'stages=[dict(name="a"), dict(name="b", init="a@last", override=dict('
                 'train_dataloader=dict(dataset=dict(root="/nowhere"))))]\n')  # fmt: skip
    with pytest.raises(LinearSRError, match="/nowhere"):
        run_training(path, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_stage_starts_from_a_file(staged, trained, tmp_path):
    file = trained / "pretrain" / "iter_3.pth"
    path = write(staged, f'stages=[dict(name="only", init="{file}")]\n')
    assert record(run_training(path, tmp_path / "from_file") / "only")["start"]["told"] == str(file)


def test_a_kept_optimiser_has_the_moments_of_the_other_run_and_the_rates_of_its_own(staged, tmp_path):
    stages = 'stages=[dict(name="a"), dict(name="b", init="a@last", optimizer="kept", override=dict({}))]\n'
    slow = "optim_wrapper=dict(optimizer=dict(lr=1e-9, betas=(1.0 - 1e-12, 1.0 - 1e-12))), param_scheduler=None"
    folder = run_training(write(staged, stages.format(slow)), tmp_path / "run")
    a, b = (torch.load(folder / name / "iter_6.pth", weights_only=True)["optimizer"] for name in ("a", "b"))
    assert b["param_groups"][0]["lr"] == 1e-9
    for index, moments in a["state"].items():
        assert moments["step"] + 6 == b["state"][index]["step"]
        # the second stage's own gradients count 1e-12 each, below float32's rounding of what was there
        torch.testing.assert_close(b["state"][index]["exp_avg"], moments["exp_avg"], rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ('init="a@knee"', "'a' looks for no knee: give it"),
        ('init="a@best:psnr_y"', "'a' keeps no best of 'psnr_y'"),
        ('init="a@last", override=dict(load_from="x.pth")', "'b' has load_from"),
    ],
)
def test_a_checkpoint_that_will_never_be_there_is_refused_at_the_start(staged, tmp_path, second, message):
    with pytest.raises(ConfigError, match=message):
        run_training(write(staged, f'stages=[dict(name="a"), dict(name="b", {second})]\n'), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_optimiser_of_a_best_checkpoint_cannot_be_kept(staged, tmp_path):
    stages = 'default_hooks["checkpoint"]["save_best"]="psnr_y"\nstages=[dict(name="a"), dict(name="b", init="a@best:psnr_y"'
    with pytest.raises(ConfigError, match="keeps the optimiser of a@best:psnr_y, which is not saved"):
        run_training(write(staged, stages + ', optimizer="kept")]\n'), tmp_path / "run")


class Rising(Hook):
    """A metric that never stops to rise: no knee is confirmed."""

    priority = "HIGHEST"

    def after_val_epoch(self, runner, metrics=None):
        metrics["psnr_y"] = float(runner.iter)


def test_a_knee_that_is_not_confirmed_stops_the_curriculum_until_the_stage_is_trained_on(staged, tmp_path):
    path = write(
        staged,
        'default_hooks["knee"]=dict(type="KneeHook",knee=dict(type="KneeDetector",directions={"psnr_y":1},patience=2,window=3))\n'
        'custom_hooks=[dict(type="tests.core.engine.curriculum.test_running.Rising")]\n'
        "train_cfg=dict(max_iters=6, val_interval=1)\n"
        'stages=[dict(name="a"), dict(name="b")]\n',
    )
    with pytest.raises(ConfigError, match=r"'a' has done 6 iterations .* raise stages\.0\.override\.train_cfg\.max_iters"):
        run_training(path, tmp_path / "run")
    assert not (tmp_path / "run" / "a" / "stage.json").exists()
    longer = ["stages.0.override={'train_cfg':{'max_iters':8}}"]
    with pytest.raises(ConfigError, match="has done 8 iterations"):
        run_training(path, tmp_path / "run", "newest", longer)
    path.write_text(path.read_text().replace('dict(name="b")', 'dict(name="b", init="a@last")'))
    run_training(path, tmp_path / "run", "newest", longer)
    assert record(tmp_path / "run" / "b")["start"]["told"] == "a@last (iteration 8)"


def test_a_stage_that_is_made_longer_is_trained_on_and_what_came_of_it_is_refused(staged, trained):
    longer = ["stages.0.override={'train_cfg':{'max_iters':9}}"]
    with pytest.raises(ConfigError, match=r"'experts' has begun from 'pretrain', which is to be trained now; delete"):
        run_training(staged, trained, "newest", longer)
    for name in ("experts", "sft"):
        shutil.rmtree(trained / name)
    run_training(staged, trained, "newest", longer)
    assert [record(trained / name)["iterations"] for name in ("pretrain", "experts")] == [9, 6]
    assert record(trained / "experts")["start"]["told"] == "pretrain@last (iteration 9)"


@pytest.mark.parametrize(
    ("change", "interrupted"),
    [("['init']=None", False), ("['init']='pretrain@best:psnr_y'", True), ("['optimizer']='kept'", False)],
)
def test_a_stage_that_began_otherwise_is_refused(staged, tmp_path, change, interrupted):
    write(staged, 'default_hooks["checkpoint"]["save_best"]="psnr_y"\nstages=[dict(name="a"), dict(name="b", init="a@last")]\n')
    folder = run_training(staged, tmp_path / "run")
    if interrupted:
        (folder / "b" / "stage.json").unlink()
    staged.write_text(staged.read_text() + f"stages[1]{change}\n".replace("pretrain", "a"))
    with pytest.raises(
        ConfigError, match=r"'b' in .* was begun from a@last \(iteration 6\), optimizer 'fresh'; now it would be"
    ):
        run_training(staged, folder, "newest")


def test_another_file_of_the_same_name_is_another_start(staged, trained):
    shutil.rmtree(trained / "sft")
    source = trained / "pretrain" / "iter_6.pth"
    content = torch.load(source, weights_only=True)
    content["state_dict"] = {name: value + 1 for name, value in content["state_dict"].items()}
    torch.save(content, source)
    with pytest.raises(ConfigError, match="another file"):
        run_training(staged, trained, "newest")


def test_what_changes_nothing_in_the_outcome_may_change(staged, trained):
    run_training(staged, trained, "newest", ["default_hooks.logger.interval=2", "train_dataloader.num_workers=1"])


def test_another_curriculum_or_run_keeps_out_of_the_folder(staged, trained, config):
    other = staged.with_name("other.py")
    other.write_text(staged.read_text().replace("pretrain", "warm"))
    for resume in (None, "newest"):
        with pytest.raises(ConfigError, match="holds a curriculum of the stages pretrain, experts, sft"):
            run_training(other, trained, resume)
    with pytest.raises(ConfigError, match="holds a curriculum; begin a run without stages in another"):
        run_training(config, trained)


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ('init="/nowhere/x.pth"', "starts from /nowhere/x.pth, which does not exist"),
        ('init="a"', r"stages\.1\.init is 'a'; wanted the checkpoint too, such as 'a@knee'"),
        ('init="a@last", override=dict(model=dict(denoiser=dict(width=32)))', "what 'b' starts from, a@last, does not fit"),
        ('init="a@last", optimizer="kept", override=dict(model=dict(denoiser=_two))', "whose denoiser is another"),
    ],
)
def test_what_will_not_fit_is_said_before_the_first_stage_begins(staged, tmp_path, second, message):
    two = STAGES.split("stages = ")[0]
    with pytest.raises(LinearSRError, match=message):
        run_training(write(staged, f'{two}stages=[dict(name="a"), dict(name="b", {second})]\n'), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_testing_finds_the_stage(staged, trained, tmp_path, monkeypatch):
    tested = run_testing(staged, trained, tmp_path / "last")
    assert json.loads((tested / "metrics.json").read_text())["record"]["checkpoint"] == str(trained / "sft" / "iter_6.pth")
    run_testing(staged, trained / "pretrain" / "iter_3.pth", tmp_path / "file")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "work_dirs").mkdir()
    trained.rename(tmp_path / "work_dirs" / "staged")
    tested = run_testing(staged, "experts@last", tmp_path / "named")
    assert json.loads((tested / "metrics.json").read_text())["record"]["checkpoint"].endswith("experts/iter_6.pth")
    for asked, message in (
        ("experts@knee", "there is no .*knee.pth for experts@knee"),
        ("exprts@last", "did you mean 'experts'"),
    ):
        with pytest.raises(ConfigError, match=message):
            run_testing(staged, asked, tmp_path / "none")


def test_the_report_tells_what_started_from_what(trained):
    page = (trained / "report.html").read_text()
    assert "scratch → pretrain; pretrain@last (iteration 6) → experts; experts@last (iteration 6) → sft" in page
    assert "data:image/png;base64," in page
