"""The benchmark at full size: it runs with a narrow model, and judges what it is given."""

import importlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

from tests.tools.conftest import ROOT, Run

FASTEST = "ours, compiled, graph"
ROADS = {"diffusers", "diffusers, compiled", "ours", "ours, compiled", "ours, graph", FASTEST}


NOTHING = {"rows": [], "peak_flops": 1e12, "peak_source": "given", "failed": {}, "record": {"device": "NVIDIA H200"}}


@pytest.fixture
def beside() -> Iterator[Callable[[str], ModuleType]]:
    """Imports as a script of that folder does; the number of threads is put back."""
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "tools" / "benchmarks"))
        yield importlib.import_module
    torch.set_num_threads(threads)


@pytest.fixture
def report_of(beside: Callable[[str], ModuleType]) -> ModuleType:
    return beside("sampling_report")


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
    return NOTHING | {"rows": rows, "failed": {"1.6B: the model": "OutOfMemoryError: no memory"}}


@pytest.mark.parametrize(("speed", "verdict"), [(1.01, "gate passed"), (0.99, "missed")])
def test_every_goal_is_judged(report_of: ModuleType, speed: float, verdict: str) -> None:
    judged = report_of.judge(report(speed))
    assert [one.goal for one in judged] == report_of.goals()
    assert {one.verdict for one in judged} == {verdict}
    text = report_of.tables(report(speed))
    assert "1.6B: the model failed: OutOfMemoryError: no memory" in text
    assert "not run" not in text


def test_goals_without_figures_are_not_run(report_of: ModuleType) -> None:
    assert report_of.judge(NOTHING) == []
    assert report_of.tables(NOTHING).count("not run") == len(report_of.goals()) == 13
    assert {(goal["verdict"], goal["figure"]) for goal in report_of.states(NOTHING)} == {("not run", None)}


def test_the_page_says_where_the_goals_are_not_for_this_device(report_of: ModuleType) -> None:
    other = NOTHING | {"record": {"device": "NVIDIA H100"}}
    assert "The goals are an H200's." in report_of.tables(other)
    assert "The goals are an H200's." not in report_of.tables(NOTHING)


def test_what_it_needs_is_said(run: Run, report_of: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "--device cpu --tiny" in run("benchmarks/sampling.py").stderr
    assert "for --tiny" in run("benchmarks/sampling.py", "--device", "cpu").stderr


def test_who_does_not_fit_is_noted_and_the_others_go_on(
    beside: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("diffusers")
    runs, sizes, contenders = beside("sampling_runs"), beside("sampling_sizes"), beside("sampling_contenders")
    of_diffusers = contenders._of_diffusers

    def no_compiler(*_: object, **__: object) -> None:
        raise RuntimeError("no compiler")

    def full(model: torch.nn.Module, asked: object, step: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
        forward = of_diffusers(model, asked, step)

        def unless_training(z: torch.Tensor) -> torch.Tensor:
            if len(z) > 1:
                raise torch.OutOfMemoryError("no memory")
            return forward(z)

        return unless_training

    monkeypatch.setattr(torch, "compile", no_compiler)
    monkeypatch.setattr(contenders, "compile_blocks", lambda *_: None)
    monkeypatch.setattr(contenders, "_of_diffusers", full)
    found = runs.measure(sizes.TINY, torch.device("cpu"), 2, 0.1, 1e12)
    assert contenders_of(found, "an evaluation") == ROADS - {"diffusers, compiled"}
    assert contenders_of(found, "a training step") == {"ours"}
    parts = ("an evaluation", "20 steps and decoding", "an evaluation at 512²")
    assert found["failed"] == {f"tiny: {part}, diffusers, compiled": "RuntimeError: no compiler" for part in parts} | {
        "tiny: a training step, diffusers": "OutOfMemoryError: no memory"
    }


def contenders_of(found: dict, what: str) -> set[str]:
    return {row["contender"] for row in found["rows"] if row["what"] == what}


@pytest.mark.slow  # inductor's C++ compiler
@pytest.mark.filterwarnings("default")  # inductor's own deprecations are not ours
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_it_runs_and_every_road_has_its_row(run: Run, report_of: ModuleType, tmp_path: Path, device: str) -> None:
    pytest.importorskip("diffusers")
    done = run("benchmarks/sampling.py", "--tiny", "--device", device, "--budget", 1, "--out", "sampling.json")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "sampling.json").read_text())
    assert found["failed"] == {}
    assert {what: contenders_of(found, what) for what in dict.fromkeys(row["what"] for row in found["rows"])} == {
        "an evaluation": ROADS,
        "20 steps and decoding": ROADS | {"the decoder alone"},
        "an evaluation at 512²": ROADS,
        "a training step": {"diffusers", "ours"},
    }
    assert {goal["verdict"] for goal in found["goals"]} == {"not run"}
    assert all(row["median_ms"] > 0 for row in found["rows"])
