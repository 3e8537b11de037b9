"""The benchmark at full size: it runs with a narrow model, and judges what it is given."""

import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

from tests.tools.conftest import ROOT, Run

FASTEST = "ours, compiled, graph"
ROADS = {"diffusers", "diffusers, compiled", "ours", "ours, compiled", "ours, graph", FASTEST}


@pytest.fixture
def report_of() -> Iterator[ModuleType]:
    """sampling_report, as when a script of that folder is run; the number of threads is put back."""
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "tools" / "benchmarks"))
        yield importlib.import_module("sampling_report")
    torch.set_num_threads(threads)


def row(model: str, what: str, contender: str, ms: float, **more: float) -> dict:
    return {"model": model, "what": what, "contender": contender, "median_ms": ms, "minimum_ms": ms, **more}


def report(speed: float) -> dict:
    """speed: 1 just passes every gate."""
    rows = []
    for model, once, picture in (("0.6B", 3.0, 110.0), ("1.6B", 6.5, 190.0)):
        rows.append(row(model, "an evaluation", FASTEST, once / speed, of_peer=4 * speed, of_compiled=1.25 * speed))
        rows.append(row(model, "20 steps and decoding", FASTEST, picture / speed))
    rows.append(row("0.6B", "an evaluation at 4096²", "ours", 35.0 / speed, peak_bytes=0.25e9 / speed))
    rows.append(row("0.6B", "a training step", "diffusers", 1000.0, peak_bytes=10e9))
    training = {"of_peer": 1.5 * speed, "flops": 0.45e12, "peak_bytes": 6e9 / speed}
    rows.append(row("0.6B", "a training step", "ours", 1000.0 / speed, **training))
    return {"rows": rows, "peak_flops": 1e12, "failed": {"1.6B: the model": "OutOfMemoryError: no memory"}}


@pytest.mark.parametrize(("speed", "verdict"), [(1.01, "gate passed"), (0.99, "missed")])
def test_every_goal_is_judged(report_of: ModuleType, speed: float, verdict: str) -> None:
    judged = report_of.judge(report(speed))
    assert [one.goal for one in judged] == report_of.goals()
    assert {one.verdict for one in judged} == {verdict}
    text = report_of.tables(report(speed))
    assert "1.6B: the model failed: OutOfMemoryError: no memory" in text
    assert "not run" not in text


def test_goals_without_figures_are_not_run(report_of: ModuleType) -> None:
    nothing = {"rows": [], "peak_flops": 1e12, "failed": {}}
    assert report_of.judge(nothing) == []
    assert report_of.tables(nothing).count("not run") == len(report_of.goals()) == 13


def test_what_it_needs_is_said(run: Run, report_of: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "--device cpu --tiny" in run("benchmarks/sampling.py").stderr
    assert "for --tiny" in run("benchmarks/sampling.py", "--device", "cpu").stderr


@pytest.mark.slow  # inductor's C++ compiler
@pytest.mark.filterwarnings("default")  # inductor's own deprecations are not ours
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_it_runs_and_every_road_has_its_row(run: Run, report_of: ModuleType, tmp_path: Path, device: str) -> None:
    pytest.importorskip("diffusers")
    done = run("benchmarks/sampling.py", "--tiny", "--device", device, "--budget", 1, "--out", "sampling.json")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "sampling.json").read_text())
    assert found["failed"] == {}
    by = {
        what: {row["contender"] for row in found["rows"] if row["what"] == what} for what in (r["what"] for r in found["rows"])
    }
    assert by == {
        "an evaluation": ROADS,
        "20 steps and decoding": {"the decoder alone", FASTEST},
        "an evaluation at 512²": {"ours"},
        "a training step": {"diffusers", "ours"},
    }
    assert all(row["median_ms"] > 0 for row in found["rows"])
