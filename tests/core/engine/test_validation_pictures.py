"""The sheet of every validation: the same pictures, in order, from whichever rank has them; old sheets go."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from linearsr.core.engine import ValidationPicturesHook, run_training
from linearsr.core.errors import ConfigError
from linearsr.core.evaluation.sheet import SheetRow

MODULE = "linearsr.core.engine.hooks.validation_pictures"


def sample(name: str, num_steps: int = 1) -> dict[str, Any]:
    lr, hr = torch.zeros(3, 4, 4), torch.zeros(3, 8, 8)
    return {"name": name, "dataset": "set", "lr": lr, "sr": hr, "hr": hr, "num_steps": num_steps}


class Runner(SimpleNamespace):
    """As much of a runner as the hook asks for."""

    def __init__(self, work_dir: Path):
        shown: list[tuple[str, np.ndarray, int]] = []
        visualizer = SimpleNamespace(add_image=lambda name, image, step: shown.append((name, image, step)))
        super().__init__(work_dir=str(work_dir), iter=7, visualizer=visualizer, shown=shown, _train_loop=object())


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> list[SheetRow]:
    """Of the sheet drawn last."""
    drawn: list[SheetRow] = []

    def draw(given: list[SheetRow], path: Path, detail: int) -> None:
        drawn[:] = given
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (5, 4)).save(path)

    monkeypatch.setattr(f"{MODULE}.contact_sheet", draw)
    return drawn


def validate(hook: ValidationPicturesHook, runner: Runner, *batches: list[dict[str, Any]]) -> None:
    hook.before_val_epoch(runner)
    for index, batch in enumerate(batches):
        hook.after_val_iter(runner, index, outputs=batch)
    hook.after_val_epoch(runner)


def test_a_run_writes_a_sheet_at_each_validation_and_keeps_the_newest(config: Path, tmp_path: Path) -> None:
    options = {"train_cfg.val_interval": 2, "default_hooks.pictures.keep": 2, "default_hooks.pictures.pictures": 2}
    folder = run_training(config, tmp_path / "run", options=options)
    assert sorted(path.name for path in (folder / "validation").iterdir()) == ["iter_4.png", "iter_6.png"]
    with Image.open(folder / "validation/iter_6.png") as sheet:
        width, height = sheet.size
    assert width == 8 + 4 * (288 + 8)  # LR, bicubic, ours, HR
    assert height == 32 + 2 * (288 + 24) + 8  # two pictures


def test_the_first_pictures_are_shown_at_every_number_of_steps(rows: list[SheetRow], tmp_path: Path) -> None:
    runner, hook = Runner(tmp_path), ValidationPicturesHook(pictures=2)
    names = [["a", "b"], ["c"]]
    validate(hook, runner, *[[sample(name, steps) for name in batch] for steps in (1, 4) for batch in names])
    assert [(row.name, list(row.sr)) for row in rows] == [("set / a", [1, 4]), ("set / b", [1, 4])]
    ((name, image, step),) = runner.shown
    assert (name, step, image.shape, image.dtype) == ("val_pictures", 7, (4, 5, 3), np.uint8)


def test_pictures_of_several_ranks_come_in_the_order_of_the_set_each_once(
    rows: list[SheetRow], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a, b, c two ranks have (a, c) and (b, a): the last is there to fill the round."""
    hooks = [ValidationPicturesHook(pictures=4) for _ in range(2)]
    monkeypatch.setattr(f"{MODULE}.get_world_size", lambda: 2)
    for rank, names in enumerate(["ac", "ba"]):
        monkeypatch.setattr(f"{MODULE}.get_rank", lambda rank=rank: rank)
        hooks[rank].before_val_epoch(None)
        for name in names:
            hooks[rank].after_val_iter(None, 0, outputs=[sample(name)])
    monkeypatch.setattr(
        f"{MODULE}.all_gather_object", lambda mine: [dict(hook.shown) if hook.shown else mine for hook in hooks]
    )
    hooks[0].after_val_epoch(Runner(tmp_path))
    assert [row.name for row in rows] == ["set / a", "set / b", "set / c"]


def test_validation_on_its_own_draws_nothing(rows: list[SheetRow], tmp_path: Path) -> None:
    runner = Runner(tmp_path)
    runner._train_loop = None
    validate(ValidationPicturesHook(), runner, [sample("a")])
    assert rows == []


def test_a_full_disk_costs_the_sheet_and_not_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    said: list[str] = []
    monkeypatch.setattr(f"{MODULE}.contact_sheet", full)
    monkeypatch.setattr(f"{MODULE}.warn", said.append)
    runner = Runner(tmp_path)
    validate(ValidationPicturesHook(), runner, [sample("a")])
    assert runner.shown == []
    assert "No space left on device" in said[0]


def test_a_model_that_gives_other_samples_is_told_to_leave_the_hook_out(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"set default_hooks\.pictures=None"):
        validate(ValidationPicturesHook(), Runner(tmp_path), [{"sr": 1}])


@pytest.mark.parametrize("option", [{"pictures": 0}, {"detail": 0}, {"keep": 0}])
def test_options_without_sense_are_refused(option: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="wanted ≥ 1"):
        ValidationPicturesHook(**option)
