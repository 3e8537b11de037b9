"""tools/export.py: what is passed on works as it stands, says what it is, and is there whole or not at all."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

from linearsr.core.config import config_hash, load_config
from linearsr.core.data import write_image
from linearsr.core.engine import run_testing, run_training
from linearsr.core.engine.export import CARD, CONFIG, WEIGHTS, run_export
from linearsr.core.errors import ConfigError, LinearSRError, WeightsError
from linearsr.core.weights import read_state_dict
from tests.core.engine.conftest import CONFIG as TINY
from tests.core.engine.conftest import ROOT
from tests.tools.conftest import Run


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's folder with two checkpoints and the figures of the newer one. Tests do not change it."""
    place = tmp_path_factory.mktemp("trained")
    for index in range(4):
        picture = torch.rand(3, 24, 26, generator=torch.Generator().manual_seed(index))
        write_image(place / "data" / f"p{index}.png", picture)
    config = place / "tiny.py"
    config.write_text(TINY.format(root=ROOT, data=place / "data"))
    folder = run_training(config, place / "run")
    return run_testing(config, folder, folder)


def tampered(trained: Path, tmp_path: Path, **changes: Any) -> Path:
    """The newest checkpoint on its own, with other entries; None takes one out."""
    content = torch.load(trained / "iter_6.pth", weights_only=True) | changes
    torch.save({key: value for key, value in content.items() if value is not None}, tmp_path / "iter_6.pth")
    return tmp_path / "iter_6.pth"


def with_config(trained: Path, change: str) -> dict[str, Any]:
    meta = torch.load(trained / "iter_6.pth", weights_only=True)["meta"]
    return meta | {"cfg": meta["cfg"] + change}


def figures(path: Path) -> list[dict[str, Any]]:
    return [
        {key: value for key, value in row.items() if key != "seconds_per_image"} for row in json.loads(path.read_text())["rows"]
    ]


def test_the_commands_on_the_card_work_as_they_stand_and_measure_what_the_run_measured(
    run: Run, trained: Path, tmp_path: Path
) -> None:
    done = run("export.py", trained, tmp_path / "my-export")
    assert done.returncode == 0, done.stderr
    assert "my-export" in done.stdout
    commands = re.findall(r"^python tools/(.*)$", (tmp_path / "my-export" / CARD).read_text(), re.M)
    assert [command.split()[0] for command in commands] == ["test.py", "train.py"]
    for command in commands:
        done = run(*shlex.split(command))
        assert done.returncode == 0, done.stderr
    # a test of our own config is the test of the run: the same weights and settings
    assert figures(tmp_path / "work_dirs" / "config" / "metrics.json") == figures(trained / "metrics.json")


def test_the_python_on_the_card_works_as_it_stands(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    card = (run_export(trained, "my-export") / CARD).read_text()
    write_image("small.png", torch.rand(3, 5, 7))
    exec(re.search(r"```python\n(.*?)```", card, re.S)[1], {})
    assert (tmp_path / "large.png").is_file()


def test_averaged_weights_are_exported_unless_raw_ones_are_asked_for(run: Run, trained: Path, tmp_path: Path) -> None:
    """mmengine's EMAHook swaps as it saves: `state_dict` is the average, `ema_state_dict` what the optimiser moves."""
    saved = torch.load(trained / "iter_6.pth", weights_only=True)
    average, raw = saved["state_dict"], {k.removeprefix("module."): v for k, v in saved["ema_state_dict"].items()}
    assert any(not torch.equal(average[name], raw[name]) for name in average)
    for options, want, said in (((), average, "averaged (EMA)"), (("--ema",), average, "averaged"), (("--raw",), raw, "raw")):
        assert run("export.py", trained, tmp_path / "out", "--force", *options).returncode == 0
        got = read_state_dict(tmp_path / "out" / WEIGHTS)
        assert got.keys() == average.keys()
        assert all(torch.equal(got[name], want[name]) for name in got)
        assert f"* weights: {said}" in (tmp_path / "out" / CARD).read_text()


def test_a_run_without_averages_has_raw_weights_and_figures_and_no_ema(trained: Path, tmp_path: Path) -> None:
    checkpoint = tampered(trained, tmp_path, ema_state_dict=None)
    (tmp_path / "metrics.json").write_text((trained / "metrics.json").read_text())
    for name, weights in (("default", None), ("raw", "raw")):
        card = (run_export(checkpoint, tmp_path / name, weights) / CARD).read_text()
        assert "* weights: raw (the run kept no average)" in card
        assert "| tiny | bicubic |" in card
    with pytest.raises(WeightsError, match="no averaged weights: its run had no EMAHook"):
        run_export(checkpoint, tmp_path / "ema", "ema")


def test_the_card_says_what_it_is_what_it_was_trained_on_and_how(trained: Path, tmp_path: Path) -> None:
    folder = run_export(trained, tmp_path / "out")
    card, cfg = (folder / CARD).read_text(), load_config(folder / CONFIG)
    record = json.loads((trained / "train.json").read_text())[-1]
    assert card.startswith("---\nlicense:  # yours to fill in\n")
    for words in (
        "# out\n",
        "Image super-resolution ×2",
        "| denoiser.attention | ReLULinearAttention |  |",
        "| denoiser.lr_stem | ConvStem | width=8, depth=1 |",
        f"HRFolder(root={str(trained.parent / 'data')!r})",
        "LoadPictures → RandomCrop → RandomFlipRotate → BicubicDegradation",
        "* iterations: 6",
        f"* trained by: `{record['command']}`",
        f"commit: {record['git_commit'] or 'not recorded'}; seed: 0",
        f"torch {torch.__version__}",
        f"SHA-256 of config.py: {config_hash(cfg)}",
    ):
        assert words in card
    row = next(row for row in figures(trained / "metrics.json") if row["num_steps"] == 4)
    assert f"| tiny | model | 4 | 4 | 2 | {row['psnr_y']:.2f} | {row['ssim_y']:.4f} |" in card
    assert config_hash(cfg) == record["config_sha256"]
    with safe_open(folder / WEIGHTS, "pt") as file:
        assert file.metadata()["config_sha256"] == config_hash(cfg)


def test_figures_of_other_weights_are_not_on_the_card(trained: Path, tmp_path: Path) -> None:
    older = (run_export(trained / "iter_3.pth", tmp_path / "older") / CARD).read_text()
    assert "no metrics.json of iter_3.pth" in older
    raw = (run_export(trained, tmp_path / "raw", "raw") / CARD).read_text()
    assert "these are the raw ones" in raw
    alone = (run_export(tampered(trained, tmp_path), tmp_path / "alone") / CARD).read_text()
    assert "* trained by: not recorded" in alone
    assert all("| bicubic |" not in card for card in (older, raw, alone))


def test_what_only_the_run_knew_is_not_in_the_config_and_the_rest_is(trained: Path, tmp_path: Path) -> None:
    meta = with_config(trained, "load_from = 'earlier.pth'\nresume = False\n")
    folder = run_export(tampered(trained, tmp_path, meta=meta), tmp_path / "out")
    cfg, own = load_config(folder / CONFIG).to_dict(), load_config(trained / "tiny.py").to_dict()
    assert cfg == {key: value for key, value in own.items() if key not in ("work_dir", "load_from", "resume")}
    assert "* started from: earlier.pth" in (folder / CARD).read_text()


def test_a_compiled_model_is_exported_where_nothing_can_compile(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("linearsr.core.models.compiling.shutil.which", lambda name: None)
    meta = with_config(trained, "")
    meta["cfg"] = meta["cfg"].replace("'upscale': 2", "'upscale': 2, 'compile_denoiser': True")
    folder = run_export(tampered(trained, tmp_path, meta=meta), tmp_path / "out")
    assert load_config(folder / CONFIG).model.compile_denoiser is True


def test_nothing_is_overwritten_but_an_export_by_force(run: Run, trained: Path, tmp_path: Path) -> None:
    assert run("export.py", trained, "out").returncode == 0
    before = (tmp_path / "out" / CARD).stat().st_mtime_ns
    again = run("export.py", trained / "iter_3.pth", "out")
    assert (again.returncode, (tmp_path / "out" / CARD).stat().st_mtime_ns) == (2, before)
    assert "exists; add --force" in again.stderr
    assert run("export.py", trained / "iter_3.pth", "out", "--force").returncode == 0
    assert "* iterations: 3" in (tmp_path / "out" / CARD).read_text()
    (tmp_path / "out" / "thesis.tex").touch()
    refused = run("export.py", trained, "out", "--force")
    assert refused.returncode == 2
    assert "is no export: it holds thesis.tex" in refused.stderr
    (tmp_path / "file").touch()
    assert "is no export" in run("export.py", trained, "file", "--force").stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "out"]


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_an_export_that_fails_leaves_what_was_there_and_nothing_else(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def broken(*_: object) -> None:
        raise error

    run_export(trained, tmp_path / "out")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    monkeypatch.setattr("linearsr.core.engine.export.model_card", broken)
    for place in ("out", "new"):
        with pytest.raises(type(error)):
            run_export(trained, tmp_path / place, force=True)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"meta": None}, WeightsError, "does not say which config"),
        ({"meta": {"cfg": "import os\nos.mkdir('sentinel')\n"}}, WeightsError, "no plain data"),
        ({"meta": {"cfg": "model = __import__('os').mkdir('sentinel')\n"}}, WeightsError, "no plain data"),
        ({"meta": {"cfg": "model = dict(type='NoSuch')\n"}}, WeightsError, "no plain data"),
        ({"meta": {"cfg": "model = {'type': 'NoSuch'}\n"}}, ConfigError, "does not run with linearsr .*NoSuch"),
        ({"state_dict": None}, WeightsError, "no 'state_dict'"),
        ({"state_dict": {"a": torch.zeros(1)}}, WeightsError, "does not fit LinearSR"),
    ],
)
def test_a_checkpoint_that_cannot_be_exported_is_refused_and_nothing_of_it_runs(
    trained: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, Any],
    error: type[LinearSRError],
    message: str,
) -> None:
    checkpoint = tampered(trained, tmp_path, **changes)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message):
        run_export(checkpoint, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["iter_6.pth"]


def test_what_is_no_checkpoint_is_refused_in_one_line(run: Run, trained: Path, tmp_path: Path) -> None:
    run_export(trained, tmp_path / "out")
    (tmp_path / "empty").mkdir()
    for source, words in (
        ("nowhere.pth", "there is no checkpoint nowhere.pth"),
        ("empty", "no checkpoint iter_*.pth in empty"),
        (f"out/{WEIGHTS}", "weights without their config"),
    ):
        done = run("export.py", source, "other")
        assert done.returncode == 2
        assert done.stderr.startswith("error: ")
        assert words in done.stderr
    assert not (tmp_path / "other").exists()
