"""tools/find_knee.py"""

import json
import math
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.tools.conftest import Run

BOTH = ("--metric", "psnr_y:+1", "--metric", "lpips:-1")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A run's own log: 95 % of the rise at evaluation 10, losses from 40 on, training lines between."""
    lines = []
    for i in range(60):
        level = 1 - 0.05 ** (i / 10) - 0.4 * (i >= 40) * (i % 2)
        lines.append({"step": 50 * i + 25, "phase": "train", "loss": 1 / (i + 1)})
        lines.append({"step": 50 * (i + 1), "phase": "val", "psnr_y": 24 + 4 * level, "lpips": 0.5 - 0.3 * level})
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_the_knee_of_a_log_is_printed_written_and_drawn(run: Run, tmp_path: Path, log: Path) -> None:
    pytest.importorskip("kneed")
    done = run("find_knee.py", log, *BOTH, "--out", tmp_path / "found.json", "--plot", tmp_path / "knee.png")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "found.json").read_text())["logs"][0]
    assert abs(found["knee_step"] - 550) <= 100
    assert found["onset_step"] == 50 * 42
    assert found["confirmed"]
    assert found["confirmed_at"] == found["knee_step"] + 12 * 50
    assert set(found["per_metric"]) == {"psnr_y", "lpips"}
    assert set(found["second_opinion"]) == {"together", "psnr_y", "lpips"}
    for word in ("together", "psnr_y", "lpips", "oscillation", str(found["knee_step"]), "2100", "confirmed at step"):
        assert word in done.stdout
    with Image.open(tmp_path / "knee.png") as picture:
        assert len(picture.getcolors(2**20) or ()) > 50


def test_several_logs_are_told_and_drawn_side_by_side(run: Run, tmp_path: Path, log: Path) -> None:
    csv = tmp_path / "metrics.csv"
    csv.write_text("epoch,psnr_y,lpips\n" + "".join(f"{i},{math.log(i)},{1 / i}\n" for i in range(1, 8)))
    log.write_text(log.read_text().replace('"step"', '"epoch"'))
    done = run("find_knee.py", log, csv, *BOTH, "--step-key", "epoch", "--plot", tmp_path / "knee.png")
    assert done.returncode == 0, done.stderr
    assert "log.jsonl, 60 evaluations" in done.stdout
    assert "metrics.csv, 7 evaluations" in done.stdout


def test_figures_that_are_not_finite_are_drawn_and_written(run: Run, tmp_path: Path, log: Path) -> None:
    log.write_text(log.read_text() + '{"step": 3050, "phase": "val", "psnr_y": null, "lpips": null}\n')
    done = run("find_knee.py", log, *BOTH, "--out", tmp_path / "found.json", "--plot", tmp_path / "knee.png")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "found.json").read_text())["logs"][0]["evaluations"] == 61


def test_without_kneed_there_is_no_second_opinion_and_the_extra_is_named(
    run: Run, tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "kneed", None)
    done = run("find_knee.py", log, *BOTH, "--out", tmp_path / "found.json")
    assert done.returncode == 0, done.stderr
    assert "pip install 'linearsr[knee]'" in done.stdout
    assert json.loads((tmp_path / "found.json").read_text())["logs"][0]["second_opinion"] is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--metric", "psnr_y"], "is given as 'psnr_y'; wanted NAME:+1"),
        (["--metric", "psnr_y:up"], "is given as 'psnr_y:up'"),
        (["--metric", "psnr:+1"], "no metric 'psnr'; did you mean 'psnr_y'"),
        (["--metric", "loss:-1"], "no line of an evaluation"),
        ([*BOTH, "--policy", "lpisp"], "did you mean 'lpips'"),
        ([*BOTH, "--window", "4"], "knee.window is 4"),
        ([*BOTH, "--step-key", "iter"], "no 'iter'"),
    ],
)
def test_what_cannot_be_replayed_is_said_in_one_line(run: Run, log: Path, words: list[str], said: str) -> None:
    done = run("find_knee.py", log, *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "log.jsonl is empty"),
        ('{"step": 1, "psnr_y": 1, "lpips": 1}\n{"step": 2, "psnr_y": 1}\n', "log.jsonl, line 2: psnr_y without lpips"),
        ("step,psnr_y,lpips\n1,good,1\n", "log.jsonl, line 2: psnr_y is 'good'; wanted a number"),
    ],
)
def test_a_log_with_holes_is_one_error_with_file_and_line(run: Run, log: Path, text: str, said: str) -> None:
    log.write_text(text)
    done = run("find_knee.py", log, *BOTH)
    assert done.returncode == 2
    assert said in done.stderr
    assert run("find_knee.py", "nowhere.jsonl", *BOTH).returncode == 2
