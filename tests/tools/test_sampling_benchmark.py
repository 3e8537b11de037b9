"""The benchmark at full size: it runs with a narrow model, and judges what it is given."""

import importlib
import json
import weakref
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from linearsr.core.backbones.prepared import Prepared
from linearsr.core.structures import GuidanceTokens
from tests.tools.conftest import ROOT, Run

FASTEST, ALONE = "ours, compiled, graph", "ours, compiled, graph, prepare + evaluation"
ROADS = {"diffusers", "diffusers, compiled", "ours", "ours, compiled", "ours, graph", FASTEST}
REDUCED = "diffusers, compiled, reduce-overhead"
WITH_PREPARE = {"ours, prepare + evaluation", ALONE, f"{ALONE}, all 300 words counted"}
TRAINING = "a training step of 2 pictures", "a training step of 3 pictures"
NOTHING = {"rows": [], "peak_flops": 1e12, "peak_source": "given", "failed": {}, "record": {"device": "NVIDIA H200"}}


@pytest.fixture
def beside(script_folder: None) -> Callable[[str], ModuleType]:
    return importlib.import_module


@pytest.fixture
def report_of(beside: Callable[[str], ModuleType]) -> ModuleType:
    return beside("sampling_report")


def row(model: str, what: str, contender: str, ms: float, **more: float) -> dict:
    return {"model": model, "what": what, "contender": contender, "median_ms": ms, "minimum_ms": ms, **more}


def report(speed: float) -> dict:
    """speed: 1 just passes every gate."""
    rows = []
    for model, once, picture in (("0.6B", 3.0, 110.0), ("1.6B", 6.5, 190.0)):
        rows.append(row(model, "an evaluation", FASTEST, 1e-3, of_peer=1e3, of_fastest=1e3))  # prepared: not judged
        rows.append(row(model, "an evaluation", ALONE, once / speed, of_peer=4 * speed, of_fastest=1.25 * speed))
        rows.append(row(model, "20 steps and decoding", FASTEST, picture / speed))
    rows.append(row("0.6B", "an evaluation at 4096²", "ours", 35.0 / speed, peak_bytes=0.25e9 / speed))
    training = {"of_peer": 1.5 * speed, "flops": 0.45e12, "peak_bytes": 6e9 / speed}
    for what in ("a training step of 32 pictures", "a training step of 8 pictures"):
        rows.append(row("0.6B", what, "diffusers", 1000.0, peak_bytes=10e9))
        rows.append(row("0.6B", what, "ours", 1000.0 / speed, **training))
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
    assert report_of.tables(NOTHING).count("not run") == len(report_of.goals()) == 15
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

    def full(model: torch.nn.Module, asked: object) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
        forward = of_diffusers(model, asked)

        def unless_training(z: torch.Tensor, of_1000: torch.Tensor) -> torch.Tensor:
            if len(z) > 1:
                raise torch.OutOfMemoryError("no memory")
            return forward(z, of_1000)

        return unless_training

    def no_count(work: Callable[[], object]) -> None:
        raise NotImplementedError("cannot be counted")

    monkeypatch.setattr(torch, "compile", no_compiler)
    monkeypatch.setattr(contenders, "compile_blocks", lambda *_: None)
    monkeypatch.setattr(contenders, "_of_diffusers", full)
    monkeypatch.setattr(runs, "flops", no_count)
    found = runs.measure(sizes.TINY, torch.device("cpu"), 2, 0.1, 1e12)
    assert contenders_of(found, "an evaluation") == (ROADS | WITH_PREPARE) - {"diffusers, compiled"}
    assert all("of_fastest" not in row for row in found["rows"])  # diffusers eager alone is no fastest one
    parts = ("an evaluation", "20 steps and decoding", "an evaluation at 512²")
    failed = {f"tiny: {part}, diffusers, compiled": "RuntimeError: no compiler" for part in parts}
    for step in TRAINING:
        assert contenders_of(found, step) == {"ours"}
        failed |= {
            f"tiny: {step}, diffusers": "OutOfMemoryError: no memory",
            f"tiny: {step}, FLOPs": "NotImplementedError: cannot be counted",
        }
    assert found["failed"] == failed


def test_what_did_not_fit_is_given_back_before_the_next_one(
    beside: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    noted, failed, held, gone = beside("sampling_runs").noted, {}, [], []

    def too_much() -> None:
        activations = torch.zeros(8)
        held.append(weakref.ref(activations))
        raise torch.OutOfMemoryError("no memory")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: gone.append(held[0]() is None))
    with noted("all of it", failed):
        too_much()
    assert (failed, gone) == ({"all of it": "OutOfMemoryError: no memory"}, [True])


def test_a_backward_that_did_not_fit_leaves_no_gradients(
    beside: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("diffusers")
    pair, backward = narrow_pair(beside), torch.Tensor.backward

    def too_much(loss: torch.Tensor) -> None:
        backward(loss)
        assert pair.ours.head.weight.grad is not None
        raise torch.OutOfMemoryError("no memory")

    monkeypatch.setattr(torch.Tensor, "backward", too_much)
    with pytest.raises(torch.OutOfMemoryError):
        beside("sampling_contenders").training_steps(pair, 4, 2)["ours"]()()
    assert all(parameter.grad is None for parameter in pair.ours.parameters())


def test_torchs_own_graphs_take_part_on_a_card_alone_and_the_fastest_of_diffusers_is_judged_by(
    beside: Callable[[str], ModuleType],
) -> None:
    pytest.importorskip("diffusers")
    contenders = beside("sampling_contenders")
    assert set(contenders.roads_on(torch.device("cuda"))) == ROADS | {REDUCED}
    assert set(contenders.roads_on(torch.device("cpu"))) == ROADS
    medians = {"ours": 1.0, "diffusers": 4.0, "diffusers, compiled": 3.0, "the decoder alone": 0.5}
    assert contenders.fastest_of_diffusers(medians) == "diffusers, compiled"
    assert contenders.fastest_of_diffusers(medians | {REDUCED: 2.0}) == REDUCED
    assert contenders.fastest_of_diffusers(medians | {"diffusers": 2.5}) == "diffusers"
    assert contenders.fastest_of_diffusers({"diffusers": 1.0, "ours": 1.0}) is None


@torch.no_grad()
def test_torchs_graphs_are_asked_for_are_told_of_each_evaluation_and_keep_its_result(
    beside: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in that writes every result to the same memory, as a graph does."""
    pytest.importorskip("diffusers")
    contenders, pair, asked, began = beside("sampling_contenders"), narrow_pair(beside), [], []

    def compiled(model: torch.nn.Module, **options: object) -> Callable[..., tuple[torch.Tensor]]:
        asked.append(options)
        out = torch.empty_like(pair.ask(4).z)
        return lambda *words, **more: (out.copy_(model(*words, **more)[0]),)

    monkeypatch.setattr(torch, "compile", compiled)
    monkeypatch.setattr(torch.compiler, "cudagraph_mark_step_begin", lambda: began.append(True))
    question, times = pair.ask(4), torch.tensor([0.75, 0.25], dtype=torch.float64)
    plain, graphs = (contenders._start(pair, contenders.ROADS[name], question)(times) for name in ("diffusers", REDUCED))
    first, second = (graphs(question.z, time[None]) for time in times)
    assert asked == [{"mode": "reduce-overhead", "dynamic": False}]
    assert len(began) == 2
    assert torch.equal(first, plain(question.z, times[:1]))
    assert torch.equal(second, plain(question.z, times[1:]))


@torch.no_grad()
def test_an_evaluation_that_prepares_prepares_each_time_and_gives_the_same(
    beside: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("diffusers")
    contenders, pair, prepared = beside("sampling_contenders"), narrow_pair(beside), []
    prepare = type(pair.ours).prepare

    def counted(model: torch.nn.Module, lr: None, guidance: GuidanceTokens, times: torch.Tensor) -> Prepared:
        found = prepare(model, lr, guidance, times)
        prepared.append(found.cross[0].keys.shape[2])
        return found

    monkeypatch.setattr(type(pair.ours), "prepare", counted)
    monkeypatch.setattr(contenders, "compile_blocks", lambda *_: None)
    known = contenders.evaluations(pair, 4)["ours"]()
    for words, name in ((120, ALONE), (300, f"{ALONE}, all 300 words counted")):
        prepared.clear()
        call = contenders.evaluations_with_prepare(pair, 4)[name]()
        outputs = call(), call()
        assert prepared == [words] * 2
        assert torch.equal(*outputs)
        assert torch.equal(outputs[0], known()) is (words == 120)


def narrow_pair(beside: Callable[[str], ModuleType]) -> Any:
    return beside("sana_pair").Pair(beside("sana_pair").NARROW, 1, torch.bfloat16, torch.device("cpu"))


def test_what_training_needs_is_told_without_weights(run: Run) -> None:
    pytest.importorskip("diffusers")
    done = run("benchmarks/sampling_memory.py", "--tiny")
    assert done.returncode == 0, done.stderr
    figures = {tuple(cells[:3]): float(cells[3]) for cells in table(done.stdout)}
    assert figures.keys() == {("tiny", batch, name) for batch in "23" for name in ("diffusers", "ours")}
    # what grows with the pictures and the gradients, which do not
    assert all(1 < figures["tiny", "3", name] / figures["tiny", "2", name] <= 1.5 for name in ("diffusers", "ours"))


def test_the_page_says_what_training_needs_at_full_size_and_that_nothing_ran() -> None:
    page = (ROOT / "docs" / "benchmarks" / "sampling.md").read_text()
    assert {cells[1] for cells in table(page) if len(cells) == 4 and cells[0] == "0.6B"} == {"32", "8"}
    assert ("<!-- not run -->" in page) is not (ROOT / "docs" / "benchmarks" / "sampling.json").is_file()


def table(text: str) -> list[list[str]]:
    """The cells of Markdown's rows, without heads."""
    rows = [line.strip("| ").split("|") for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in cells] for cells in rows if cells[-1].strip().replace(".", "").isdigit()]


def test_the_page_without_figures_takes_them_and_is_held_to_its_json_from_then_on(run: Run, tmp_path: Path) -> None:
    page = tmp_path / "sampling.md"
    page.write_text((ROOT / "docs" / "benchmarks" / "sampling.md").read_text())
    words = ("benchmarks/sampling.py", "--markdown", "sampling.json")
    for speed in (1.01, 0.99):
        (tmp_path / "sampling.json").write_text(json.dumps(report(speed)))
        done = run(*words, "--into", page)
        assert done.returncode == 0, done.stderr
        before, _, rest = page.read_text().partition(
            "<!-- made by python tools/benchmarks/sampling.py --markdown sampling.json -->"
        )
        between, _, after = rest.partition("<!-- end -->")
        assert between.strip() == run(*words).stdout.strip()
        assert "Not run" not in page.read_text()
        assert before.startswith("# At full size")
        assert after == "\n"


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
    roads = ROADS | ({REDUCED} if device == "cuda" else set())
    assert {what: contenders_of(found, what) for what in dict.fromkeys(row["what"] for row in found["rows"])} == {
        "an evaluation": roads | WITH_PREPARE,
        "20 steps and decoding": roads | {"the decoder alone"},
        "an evaluation at 512²": roads,
        **{step: {"diffusers", "ours"} for step in TRAINING},
    }
    assert all("of_fastest" in row for row in found["rows"] if row["what"] == "an evaluation")
    assert {goal["verdict"] for goal in found["goals"]} == {"not run"}
    assert all(row["median_ms"] > 0 for row in found["rows"])
