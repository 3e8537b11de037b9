"""Tensorboard and wandb, read back: the right step on every axis, over resumes, beside one another."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from linearsr.core.engine import NEWEST, TensorboardBackend, read_log, run_testing
from linearsr.core.errors import MissingExtraError
from tests.core.engine.logging.conftest import Train, wandb_rows, without_checkpoints


def events(folder: Path) -> EventAccumulator:
    found = EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0, "images": 0})
    found.Reload()
    return found


def points(folder: Path, name: str) -> list[tuple[int, float]]:
    return [(event.step, event.value) for event in events(folder).Scalars(name)]


def test_three_backends_at_once_have_the_same_steps_and_figures(train: Train, tmp_path: Path) -> None:
    folder = train(tmp_path / "run", "JSONLinesBackend", "TensorboardBackend", "WandbBackend")
    rows = wandb_rows(folder)
    for phase, name, wanted in (("train", "loss", [1, 2, 3, 4, 5, 6]), ("val", "psnr_y", [3, 6]), ("val", "time", [3, 6])):
        lines = read_log(folder / "log.jsonl", phase)
        assert [line["step"] for line in lines] == wanted
        # tensorboard keeps float32
        assert points(folder, f"{phase}/{name}") == [(line["step"], pytest.approx(line[name], rel=1e-6)) for line in lines]
        at_wandb = [(int(row["iteration"]), float(row[f"{phase}/{name}"])) for row in rows if f"{phase}/{name}" in row]
        assert at_wandb == [(line["step"], line[name]) for line in lines]


def test_times_of_validation_do_not_overwrite_those_of_training(train: Train, tmp_path: Path) -> None:
    folder = train(tmp_path / "run", "TensorboardBackend")
    tags = set(events(folder).Tags()["scalars"])
    assert {"train/time", "val/time", "train/data_time", "val/data_time", "train/lr"} <= tags
    assert not {"time", "data_time", "loss", "iter"} & tags
    assert [step for step, _ in points(folder, "train/time")] == [1, 2, 3, 4, 5, 6]


def test_pictures_are_at_the_iteration_of_their_validation(train: Train, tmp_path: Path) -> None:
    folder = train(tmp_path / "run", "TensorboardBackend", "WandbBackend")
    images = events(folder).Images("val_pictures")
    assert [image.step for image in images] == [3, 6]
    assert images[0].width > images[0].height / 4 > 0
    assert [int(row["iteration"]) for row in wandb_rows(folder) if "val_pictures/path" in row] == [3, 6]
    assert len(list(folder.glob("wandb/offline-run-*/files/media/images/val_pictures_*.png"))) == 2


def test_tensorboard_shows_the_steps_of_an_interrupted_run_once(train: Train, tmp_path: Path) -> None:
    straight = train(tmp_path / "straight", "TensorboardBackend")
    folder = train(tmp_path / "run", "TensorboardBackend", stop=5)
    train(folder, "TensorboardBackend", resume=NEWEST)
    assert points(folder, "train/loss") == points(straight, "train/loss")
    assert [step for step, _ in points(folder, "val/psnr_y")] == [3, 3, 6]  # the validation at 3 is done again


def test_tensorboard_shows_nothing_of_an_earlier_run_in_the_folder(train: Train, tmp_path: Path) -> None:
    folder = train(tmp_path / "run", "TensorboardBackend")
    without_checkpoints(folder)
    train(folder, "TensorboardBackend", options={"train_cfg.max_iters": 2})
    assert [step for step, _ in points(folder, "train/loss")] == [1, 2]


def test_a_test_opens_no_log(train: Train, config: Path, tmp_path: Path) -> None:
    backends = [{"type": "TensorboardBackend"}, {"type": "WandbBackend", "mode": "online"}]  # which would need a login
    folder = run_testing(config, None, tmp_path / "out", options={"visualizer.vis_backends": backends})
    assert not list(folder.glob("tensorboard")) + list(folder.glob("wandb*"))


def test_tensorboard_without_its_package_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = importlib.util.find_spec
    monkeypatch.setattr(
        "linearsr.core.engine.logging.tensorboard_backend.find_spec",
        lambda name: None if name == "tensorboard" else honest(name),
    )
    with pytest.raises(MissingExtraError, match=r"pip install 'linearsr\[tensorboard\]'"):
        TensorboardBackend(str(tmp_path)).start(tmp_path, 0)


def test_nothing_is_logged_before_training_begins_or_after_it_ends(tmp_path: Path) -> None:
    backend = TensorboardBackend(str(tmp_path))
    for _ in range(2):
        backend.add_scalars({"train/loss": 1.0}, step=1)
        backend.add_image("picture", np.zeros((4, 4, 3), np.uint8), step=1)
        backend.close()
    assert not list(tmp_path.iterdir())
