"""A config is read wherever it is kept, and what was saved is never run."""

from pathlib import Path

import pytest
import torch

from linearsr.core.config import load_config
from linearsr.core.errors import ConfigError, LinearSRError, WeightsError
from linearsr.core.inspection import differences, resolve

QUICKSTART = Path(__file__).parents[3] / "configs" / "quickstart_x4.py"
EVIL = 'import pathlib\npathlib.Path("ran").write_text("")\nmodel = {}\n'


def checkpoint(folder: Path, text: object) -> Path:
    torch.save({"meta": {"cfg": text}, "state_dict": {}}, folder / "iter_1.pth")
    return folder / "iter_1.pth"


def test_a_file_its_saved_copy_and_a_checkpoint_resolve_to_the_same(tmp_path: Path) -> None:
    cfg = load_config(QUICKSTART)
    run = tmp_path / "run"
    run.mkdir()
    (run / "quickstart_x4.py").write_text(cfg.pretty_text)
    for source in (QUICKSTART, run, run / "quickstart_x4.py", checkpoint(tmp_path, cfg.pretty_text)):
        assert list(differences(cfg.to_dict(), resolve(source).to_dict())) == [], source


def test_a_config_as_mmengine_writes_it_is_read_too(tmp_path: Path) -> None:
    cfg = resolve(checkpoint(tmp_path, "model = dict(\n    type='ResNet', depth=[dict(a=-1)])\nx = (1, None)\n"))
    assert cfg.to_dict() == {"model": {"type": "ResNet", "depth": [{"a": -1}]}, "x": (1, None)}


@pytest.mark.parametrize(
    "text", [EVIL, "model = open('ran', 'w')\n", "model = dict(**{})\n", "model = dict([])\n", "x: int = 3\n"]
)
def test_what_was_saved_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.py").write_text(text)
    for source in (tmp_path / "run", checkpoint(tmp_path, text)):
        with pytest.raises(ConfigError, match="no plain data"):
            resolve(source)
    assert not (tmp_path / "ran").exists()


def test_a_saved_config_of_another_version_is_read_without_the_check(tmp_path: Path) -> None:
    assert resolve(checkpoint(tmp_path, "an_old_setting = 3\n")).an_old_setting == 3


def test_what_holds_no_config_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "two").mkdir()
    for name in ("a.py", "b.py"):
        (tmp_path / "two" / name).write_text("x = 1\n")
    torch.save({"w": torch.zeros(1)}, tmp_path / "weights.pth")
    torch.save(torch.zeros(1), tmp_path / "tensor.pth")
    (tmp_path / "damaged.pth").write_bytes(b"not a checkpoint")
    (tmp_path / "model.safetensors").write_bytes(b"")
    for name, error, message in (
        ("nowhere", ConfigError, "there is no .*nowhere; wanted a config file"),
        ("empty", ConfigError, "there is none"),
        ("two", ConfigError, r"there are a\.py, b\.py; name the file itself"),
        ("weights.pth", WeightsError, "does not say which config"),
        ("tensor.pth", WeightsError, "does not say which config"),
        ("damaged.pth", WeightsError, "damaged.pth"),
        ("model.safetensors", WeightsError, r"name the config\.py that was exported beside it"),
    ):
        with pytest.raises(error, match=message):
            resolve(tmp_path / name)


def test_options_change_a_file_and_nothing_that_was_saved(tmp_path: Path) -> None:
    assert resolve(QUICKSTART, ["model.denoiser.depth=9"]).model.denoiser.depth == 9
    with pytest.raises(LinearSRError, match="stays as it is"):
        resolve(checkpoint(tmp_path, "x = 1\n"), ["x=2"])
