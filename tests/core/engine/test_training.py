"""Training and testing through mmengine's Runner: what is written, that it goes on where it stopped, and what is refused."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from linearsr.core.config import config_hash, load_config
from linearsr.core.engine import NEWEST, run_testing, run_training
from linearsr.core.engine.checkpoints import newest_checkpoint
from linearsr.core.errors import ConfigError, DataError, DivergenceError, LinearSRError, WeightsError
from linearsr.core.models import LinearSR, build_model
from linearsr.core.weights import read_state_dict, write_safetensors
from tests.core.engine.conftest import same_weights, scalars


def test_a_checkpoint_loads_with_weights_only_and_holds_the_averaged_weights(config: Path, tmp_path: Path) -> None:
    folder = run_training(config, tmp_path / "run")
    checkpoint = torch.load(folder / "iter_6.pth", weights_only=True)
    name = "denoiser.head.weight"
    assert {"state_dict", "ema_state_dict", "optimizer", "param_schedulers", "message_hub", "meta"} <= checkpoint.keys()
    assert not torch.equal(checkpoint["state_dict"][name], checkpoint["ema_state_dict"][f"module.{name}"])


def test_six_iterations_are_three_and_three_resumed(config: Path, tmp_path: Path) -> None:
    straight = run_training(config, tmp_path / "straight")
    halves = tmp_path / "halves"
    halves.mkdir()
    shutil.copy(straight / "iter_3.pth", halves)
    run_training(config, halves, resume=NEWEST)
    assert same_weights(straight / "iter_6.pth", halves / "iter_6.pth")
    assert scalars(halves, "loss") == scalars(straight, "loss")[3:]


def test_two_equal_runs_are_equal(config: Path, tmp_path: Path) -> None:
    one, two = run_training(config, tmp_path / "one"), run_training(config, tmp_path / "two")
    assert same_weights(one / "iter_6.pth", two / "iter_6.pth")
    assert scalars(one, "psnr_y") == scalars(two, "psnr_y")
    assert len(scalars(one, "psnr_y")) == 2


def test_a_copied_run_resumes_in_its_own_folder_and_keeps_the_originals_best(config: Path, tmp_path: Path) -> None:
    options = {
        "default_hooks.checkpoint.save_best": "psnr_y",
        "param_scheduler": None,
    }
    original = run_training(config, tmp_path / "original", options=options)
    assert (original / "best_psnr_y.pth").is_file()
    before = {path: path.stat().st_mtime_ns for path in original.rglob("*")}
    copied = tmp_path / "copied"
    shutil.copytree(original, copied)
    run_training(
        config, copied, resume=NEWEST, options=options | {"train_cfg.max_iters": 12, "optim_wrapper.optimizer.lr": 0.1}
    )
    assert (copied / "iter_12.pth").is_file()
    assert {path: path.stat().st_mtime_ns for path in original.rglob("*")} == before


def test_a_resumed_run_has_the_learning_rates_that_the_config_says(config: Path, tmp_path: Path) -> None:
    warm = {"type": "LinearLR", "start_factor": 0.1, "by_epoch": False, "begin": 0, "end": 0.25}
    cosine = {"type": "CosineAnnealingLR", "eta_min": 0.0, "by_epoch": False, "begin": 0.25, "end": 1.0, "T_max": 0.75}
    options = {"param_scheduler": [warm, cosine]}
    longer = options | {"train_cfg.max_iters": 12}
    straight = run_training(config, tmp_path / "straight", options=longer)
    resumed = run_training(config, tmp_path / "resumed", options=options)  # to its end, at rate 0
    run_training(config, resumed, resume=NEWEST, options=longer)
    assert scalars(resumed, "lr")[6:] == pytest.approx(scalars(straight, "lr")[6:], rel=1e-12)
    assert min(scalars(straight, "lr")[6:11]) > 0


def test_the_newest_checkpoint_is_the_one_saved_last_in_this_folder(tmp_path: Path) -> None:
    for name in ("iter_1000.pth", "iter_500.pth", "iter_90.pth"):
        (tmp_path / name).touch()
    assert newest_checkpoint(tmp_path).name == "iter_1000.pth"
    (tmp_path / "last_checkpoint").write_text("/another/place/iter_500.pth")
    assert newest_checkpoint(tmp_path) == tmp_path / "iter_500.pth"
    (tmp_path / "last_checkpoint").write_text("")
    assert newest_checkpoint(tmp_path).name == "iter_1000.pth"


def test_the_saved_config_runs_again_as_it_is(config: Path, tmp_path: Path) -> None:
    first = run_training(config, tmp_path / "first", options=["train_cfg.max_iters=3"])
    again = run_training(first / "tiny.py", tmp_path / "again")
    assert config_hash(load_config(first / "tiny.py")) == config_hash(load_config(config, ["train_cfg.max_iters=3"]))
    assert same_weights(first / "iter_3.pth", again / "iter_3.pth")


def test_a_run_says_how_it_was_made(config: Path, tmp_path: Path) -> None:
    record = json.loads((run_training(config, tmp_path / "run") / "train.json").read_text())[-1]
    assert record["seed"] == 0
    assert record["versions"]["torch"] == torch.__version__
    assert record["config_sha256"] == config_hash(load_config(config))
    assert "command" in record
    assert "git_commit" in record


@pytest.mark.parametrize("where", ["loss", "gradient"])
def test_nothing_that_is_not_finite_is_saved(config: Path, tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    honest = LinearSR.loss

    def broken(self: LinearSR, *batch: object) -> dict[str, torch.Tensor]:
        loss = honest(self, *batch)["loss"]
        calls.append(loss)
        if len(calls) < 4:
            return {"loss": loss}
        if where == "gradient":  # the value is finite, its gradient is not
            loss.register_hook(lambda gradient: gradient * float("inf"))
            return {"loss": loss}
        return {"loss": loss * float("nan")}

    monkeypatch.setattr(LinearSR, "loss", broken)
    with pytest.raises(DivergenceError, match=r"(?s)not finite.*iteration 4"):
        run_training(config, tmp_path / "run", options=["default_hooks.checkpoint.interval=1"])
    saved = sorted((tmp_path / "run").glob("iter_*.pth"))
    assert [path.name for path in saved] == ["iter_1.pth", "iter_2.pth", "iter_3.pth"]
    for path in saved:
        assert all(value.isfinite().all() for value in read_state_dict(path).values())


def test_the_engines_hooks_are_there_whatever_the_custom_hooks(config: Path, tmp_path: Path) -> None:
    folder = run_training(
        config, tmp_path / "run", options={"custom_hooks": [{"type": "EmptyCacheHook"}], "train_cfg.max_iters": 3}
    )
    assert read_state_dict(folder / "iter_3.pth")


@pytest.mark.parametrize("backend", ["TensorboardVisBackend", "WandbBackend"])
def test_logging_backends_write_their_files(
    config: Path, tmp_path: Path, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    folder = run_training(
        config, tmp_path / "run", options={"visualizer.vis_backends": [{"type": backend}], "train_cfg.max_iters": 2}
    )
    pattern = {"TensorboardVisBackend": "events.out.tfevents*", "WandbBackend": "run-*.wandb"}[backend]
    assert list(folder.rglob(pattern))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"train_dataloader.dataset.root": "/nowhere"}, DataError, "/nowhere is missing"),
        ({"train_dataloader": None, "train_cfg": None, "optim_wrapper": None}, ConfigError, "nothing to train on"),
        ({"val_cfg": None}, ConfigError, "val_dataloader is set without val_cfg"),
        ({"train_dataloader.batch_size": 0}, ConfigError, "makes no runner: ValueError: batch_size should be"),
        ({"optim_wrapper.optimizer.lr": "abc"}, ConfigError, "makes no runner"),
        ({"model.denoiser.depth": "abc"}, ConfigError, "denoiser.depth is 'abc'; wanted a whole number"),
        ({"load_from": "/nowhere/w.pth"}, WeightsError, r"/nowhere/w\.pth does not exist"),
        ({"test_cfg.num_steps": 0, "val_cfg.num_steps": [0]}, ConfigError, r"val_cfg\.num_steps is \[0\]"),
        ({"param_scheduler.0.end": 1.5}, ConfigError, "fraction of max_iters"),
    ],
)
def test_what_a_user_can_mend_is_said_in_one_line(
    config: Path, tmp_path: Path, change: dict, error: type, message: str
) -> None:
    with pytest.raises(error, match=message):
        run_training(config, tmp_path / "run", options=change)


def test_a_run_that_cannot_start_leaves_no_folder(config: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare.pth"
    torch.save({"state_dict": build_model(config).state_dict()}, bare)
    attempts = [
        ({"train_dataloader.dataset.root": "/nowhere"}, None),
        ({"train_dataloader.num_workers": -1}, None),
        ({"val_cfg.num_steps": [1, 1]}, None),
        ({}, NEWEST),
        ({}, "/nowhere/iter_1.pth"),
        ({}, bare),
    ]
    for options, resume in attempts:
        with pytest.raises(LinearSRError):
            run_training(config, tmp_path / "run", resume=resume, options=options)
        assert not (tmp_path / "run").exists(), (options, resume)


def test_runners_of_one_second_have_names_of_their_own(config: Path, tmp_path: Path) -> None:
    from linearsr.core.engine.runner import build_parts, build_runner

    cfg: Config = load_config(config)
    runners = [build_runner(cfg, tmp_path / name, build_parts(cfg, "train", "val", "test")) for name in "ab"]
    assert runners[0].experiment_name != runners[1].experiment_name
    assert runners[0].message_hub is not runners[1].message_hub


def test_guided_experts_train_and_restore_through_the_runner(config: Path, tmp_path: Path) -> None:
    path = config.with_name("experts.py")
    path.write_text(
        f'_base_ = ["{config}"]\n'
        'model = dict(guidance=dict(type="NullGuidance", width=4), denoiser=dict(_delete_=True, type="ExpertMixture", '
        'router=dict(type="SNRRouter"), expert=dict(type="LinearDiT", depth=1, width=16, head_width=8, '
        'attention=dict(type="SoftmaxAttention"), feed_forward=dict(type="GatedConvFeedForward", ratio=1.0), '
        'lr_stem=dict(type="ConvStem", width=8, depth=1))))\n'
        "test_cfg = dict(num_steps=[1, 8])\n"
    )
    folder = run_testing(path, run_training(path, tmp_path / "run"), tmp_path / "out")
    rows = json.loads((folder / "metrics.json").read_text())["rows"]
    assert {row["num_steps"] for row in rows} == {None, 1, 8}
    names = read_state_dict(tmp_path / "run" / "iter_6.pth")
    assert {name.split(".")[2] for name in names if name.startswith("denoiser.experts.")} == set("0123")


def test_a_run_starts_from_exported_weights(config: Path, tmp_path: Path) -> None:
    first = run_training(config, tmp_path / "first")
    exported = write_safetensors(tmp_path / "w.safetensors", read_state_dict(first / "iter_6.pth"))
    options = {"load_from": str(exported), "train_cfg.max_iters": 1, "optim_wrapper.optimizer.lr": 0.0}
    second = run_training(config, tmp_path / "second", options=options | {"default_hooks.checkpoint.interval": 1})
    assert same_weights(second / "iter_1.pth", exported)
    with pytest.raises(WeightsError, match="no optimiser to resume with; set load_from"):
        run_training(config, tmp_path / "third", resume=exported)


def test_resume_in_a_config_is_a_bare_resume(config: Path, tmp_path: Path) -> None:
    run_training(config, tmp_path / "run")
    (tmp_path / "run" / "iter_6.pth").unlink()
    run_training(config, tmp_path / "run", options=["resume=True"])
    assert (tmp_path / "run" / "iter_6.pth").is_file()
    with pytest.raises(WeightsError, match=r"no checkpoint iter_\*\.pth"):
        run_training(config, tmp_path / "elsewhere", options=["resume=True"])
