"""Runs of two processes beside runs of one, started as a user starts them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from linearsr.core.engine import run_testing, run_training
from tests.core.engine.conftest import scalars
from tests.core.engine.distributed.conftest import PATIENCE, Done, Start

TEN = {"train_cfg.max_iters": 10, "default_hooks.checkpoint.interval": 5}
Torchrun = Callable[..., Done]


def words(options: dict[str, object]) -> list[str]:
    return ["--cfg-options", *(f"{key}={value}" for key, value in options.items())]


def one_process(config: Path, folder: Path, **more: object) -> Path:
    return run_training(config, folder, options=TEN | {"train_dataloader.batch_size": 4} | more)


def stray(folder: Path) -> set[str]:
    """What is in the folder besides the test's own."""
    return {path.name for path in folder.iterdir()} - {"data", "tiny.py", "one", "two"}


def test_two_processes_train_as_one(config: Path, tmp_path: Path, torchrun: Torchrun) -> None:
    one, two = one_process(config, tmp_path / "one"), tmp_path / "two"
    done = torchrun("train.py", config, "--work-dir", two, *words(TEN | {"train_dataloader.batch_size": 2}))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("trained; checkpoints and logs are in") == 1
    # float32 means of two and two against one of four: 6e-8 each, over ten steps of AdamW
    assert scalars(two, "loss") == pytest.approx(scalars(one, "loss"), rel=1e-6)
    assert len(scalars(two, "loss")) == 10
    # seven pictures, each at 8 bits: a weight that differs by rounding moves few levels, if any
    assert scalars(two, "psnr_y") == pytest.approx(scalars(one, "psnr_y"), abs=1e-3)
    assert not stray(tmp_path)
    assert "Warning" not in done.stderr


@pytest.mark.slow
def test_slurms_processes_train_as_one(config: Path, tmp_path: Path, start: Start) -> None:
    one, two = one_process(config, tmp_path / "one"), tmp_path / "two"
    ranks = start("train.py", config, "--work-dir", two, options=words(TEN | {"train_dataloader.batch_size": 2})[1:])
    said = [process.communicate(timeout=PATIENCE) for process in ranks]
    assert [process.returncode for process in ranks] == [0, 0], said
    assert scalars(two, "loss") == pytest.approx(scalars(one, "loss"), rel=1e-6)


@pytest.mark.slow
def test_a_test_over_two_processes_writes_what_one_writes(config: Path, tmp_path: Path, torchrun: Torchrun) -> None:
    trained = one_process(config, tmp_path / "one")
    alone, two = run_testing(config, trained, trained / "alone"), tmp_path / "two"
    done = torchrun("test.py", config, trained, "--out", two)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("metrics.json and sheet.png are in") == 1
    found, wanted = (json.loads((folder / "metrics.json").read_text()) for folder in (two, alone))
    for row in [*found["rows"], *wanted["rows"]]:
        row.pop("seconds_per_image")
    assert found["rows"] == wanted["rows"]
    assert {row["num_images"] for row in found["rows"]} == {7}
    assert found["figures"] == wanted["figures"]
    pictures = sorted(path.relative_to(alone) for path in alone.rglob("*.png"))
    assert len(pictures) == 15  # with the sheet
    assert pictures == sorted(path.relative_to(two) for path in two.rglob("*.png"))
    for picture in pictures:
        assert (two / picture).read_bytes() == (alone / picture).read_bytes()
    assert not stray(tmp_path)


@pytest.mark.slow
def test_a_sharded_run_trains_as_one_process_and_goes_on_as_one(config: Path, tmp_path: Path, torchrun: Torchrun) -> None:
    sharded = TEN | {"model_wrapper_cfg.type": "ShardedModel", "train_dataloader.batch_size": 2}
    one, two = one_process(config, tmp_path / "one"), tmp_path / "two"
    done = torchrun("train.py", config, "--work-dir", two, *words(sharded))
    assert done.returncode == 0, done.stderr
    assert scalars(two, "loss") == pytest.approx(scalars(one, "loss"), rel=1e-6)
    assert scalars(two, "psnr_y") == pytest.approx(scalars(one, "psnr_y"), abs=1e-3)
    for name in ("iter_5.pth", "iter_10.pth"):
        same_layout(one / name, two / name)

    one_process(config, one, **{"train_cfg.max_iters": 14, "resume": True})  # each from the other's checkpoint
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for folder, source in ((whole, two), (cut, one)):
        folder.mkdir()
        (folder / "iter_10.pth").write_bytes((source / "iter_10.pth").read_bytes())
    one_process(config, whole, **{"train_cfg.max_iters": 14, "resume": True})
    again = torchrun("train.py", config, "--work-dir", cut, "--resume", *words(sharded | {"train_cfg.max_iters": 14}))
    assert again.returncode == 0, again.stderr
    wanted = scalars(one, "loss")[10:]
    assert len(wanted) == 4
    for folder in (whole, cut):
        assert scalars(folder, "loss") == pytest.approx(wanted, rel=1e-6)


def same_layout(one: Path, two: Path) -> None:
    """The same names everywhere, plain tensors, and values that rounding explains."""
    wanted, found = (torch.load(path, weights_only=True) for path in (one, two))
    for part in ("state_dict", "ema_state_dict", "optimizer"):
        ours, theirs = dict(leaves(found[part])), dict(leaves(wanted[part]))
        assert list(ours) == list(theirs)
        for name, value in theirs.items():
            if isinstance(value, torch.Tensor):
                assert type(ours[name]) is torch.Tensor
                torch.testing.assert_close(ours[name], value, rtol=1e-3, atol=1e-5)
            else:
                assert ours[name] == value


def leaves(value: object, name: str = "") -> list[tuple[str, object]]:
    if isinstance(value, dict):
        return [leaf for key, item in value.items() for leaf in leaves(item, f"{name}/{key}")]
    if isinstance(value, list | tuple):
        return [leaf for key, item in enumerate(value) for leaf in leaves(item, f"{name}/{key}")]
    return [(name, value)]


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.parametrize("wrapper", ["ReplicatedModel", "ShardedModel"])
def test_devices_train_as_one_process_on_one(config: Path, tmp_path: Path, torchrun: Torchrun, wrapper: str) -> None:
    ranks = min(2, torch.cuda.device_count())
    one, several = one_process(config, tmp_path / "one"), tmp_path / "two"
    options = TEN | {"train_dataloader.batch_size": 4 // ranks, "model_wrapper_cfg.type": wrapper}
    done = torchrun("train.py", config, "--work-dir", several, *words(options), ranks=ranks)
    assert done.returncode == 0, done.stderr
    # float32 sums in another order on the device, over ten steps of training
    assert scalars(several, "loss") == pytest.approx(scalars(one, "loss"), rel=1e-3)
