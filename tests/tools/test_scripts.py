"""tools/train.py, tools/test.py and tools/list_components.py from the command line: what they print, write and return."""

import json
from pathlib import Path

import pytest
import torch

from linearsr.core.data import write_image
from tests.tools.conftest import Run


def folder_config(config: Path, folder: Path) -> Path:
    """As `config`, tested on a folder of LR pictures."""
    path = config.with_name("folder.py")
    path.write_text(
        f'_base_ = ["{config}"]\n'
        f'test_dataloader = dict(dataset=dict(_delete_=True, type="LRFolder", root="{folder}", name="lr", '
        'pipeline=[dict(type="LoadPictures")]))\n'
    )
    return path


def test_train_resume_and_test(run_process: Run, config: Path, tmp_path: Path) -> None:
    first = run_process("train.py", config, "--work-dir", "run")
    assert first.returncode == 0, first.stderr
    assert "6/6" in first.stderr
    (tmp_path / "run" / "iter_6.pth").unlink()
    second = run_process("train.py", config, "--work-dir", "run", "--resume")
    assert second.returncode == 0, second.stderr
    tested = run_process("test.py", config, "run", "--out", "out")
    assert tested.returncode == 0, tested.stderr
    assert "bicubic" in tested.stdout
    found = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert found["record"]["command"].endswith(f"test.py {config} run --out out")
    assert found["record"]["checkpoint"] == "run/iter_6.pth"


def test_a_picture_of_one_pixel_is_restored(run: Run, config: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "lr" / "dot.png", torch.full((3, 1, 1), 0.5))
    done = run("test.py", folder_config(config, tmp_path / "lr"), "none", "--out", "out")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "restored" / "lr" / "dot_1step.png").is_file()


def test_components_are_listed_with_summary_and_distribution(run: Run) -> None:
    done = run("list_components.py")
    assert done.returncode == 0, done.stderr
    line = next(line for line in done.stdout.splitlines() if "│ ReLULinearAttention" in line)
    assert "Linear attention with φ = ReLU" in line
    assert "linearsr" in line
    for kind in ("attention", "autoencoder", "solver", "metric", "dataset"):
        assert f"{kind}  (config key" in done.stdout


def refused(done, *words: str) -> None:
    """One line, rc 2, no traceback."""
    assert done.returncode == 2, done.stdout + done.stderr
    lines = done.stderr.strip().splitlines()
    assert lines[-1].startswith("error: "), done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in lines[-1]


def test_an_empty_folder_is_refused(run: Run, config: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = run("train.py", config, "--work-dir", "run", "--cfg-options", f"train_dataloader.dataset.root={tmp_path / 'empty'}")
    refused(done, "empty", "holds no picture")
    assert not (tmp_path / "run").exists()


def test_an_unpaired_lr_is_refused(run: Run, config: Path, data: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "pairs" / "lr" / "stray.png", torch.rand(3, 4, 4))
    path = config.with_name("pairs.py")
    path.write_text(
        f'_base_ = ["{config}"]\ntest_dataloader = dict(dataset=dict(_delete_=True, type="PairedFolders", hr_root="{data}", '
        f'lr_root="{tmp_path / "pairs" / "lr"}", pipeline=[dict(type="LoadPictures")]))\n'
    )
    refused(run("test.py", path, "none", "--out", "out"), "have no partner of the same name")
    assert not (tmp_path / "out").exists()


def test_a_text_file_named_png_is_refused(run: Run, config: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "lr" / "a.png", torch.rand(3, 4, 4))
    (tmp_path / "lr" / "b.png").write_text("not a picture")
    refused(run("test.py", folder_config(config, tmp_path / "lr"), "none", "--out", "out"), "b.png is not a picture")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("workers", [0, 1])
def test_a_text_file_among_the_training_pictures_is_refused_also_from_a_worker(
    run: Run, config: Path, data: Path, workers: int
) -> None:
    for path in data.iterdir():
        path.write_text("not a picture")
    options = [
        "--cfg-options",
        f"train_dataloader.num_workers={workers}",
        "val_dataloader=None",
        "val_cfg=None",
        "val_evaluator=None",
    ]
    refused(run("train.py", config, "--work-dir", "run", *options), "is not a picture that can be read")


def test_a_missing_checkpoint_is_refused(run: Run, config: Path, tmp_path: Path) -> None:
    refused(run("test.py", config, "nowhere.pth", "--out", "out"), "nowhere.pth does not exist", str(tmp_path / "nowhere.pth"))
    refused(run("train.py", config, "--work-dir", "run", "--resume"), "no checkpoint iter_*.pth in run")
    refused(run("train.py", config, "--work-dir", "run", "--resume", "nowhere.pth"), "nowhere.pth does not exist")
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "run").exists()


def test_a_checkpoint_of_another_architecture_is_refused(run: Run, config: Path, tmp_path: Path) -> None:
    torch.save({"state_dict": {"other.weight": torch.zeros(2)}}, tmp_path / "other.pth")
    refused(run("test.py", config, "other.pth", "--out", "out"), "other.pth does not fit LinearSR", "unexpected (other.weight)")
    assert not (tmp_path / "out").exists()


def test_a_key_misspelt_three_levels_deep_is_refused(run: Run, config: Path, tmp_path: Path) -> None:
    option = "model.denoiser.attention.qk_nrom=True"
    done = run("train.py", config, "--work-dir", "run", "--cfg-options", option)
    refused(done, "--cfg-options model.denoiser.attention.qk_nrom", "ReLULinearAttention", "did you mean 'qk_norm'?")
    assert not (tmp_path / "run").exists()


def test_the_ceiling_takes_every_cfg_options_that_is_given(run: Run, config: Path, tmp_path: Path) -> None:
    first, second = "model.denoiser.dept=3", "test_evaluator.crop_border=1"
    refused(run("benchmarks/autoencoder_ceiling.py", config, "--cfg-options", first, "--cfg-options", second), "dept")
