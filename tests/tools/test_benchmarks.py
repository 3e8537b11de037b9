"""tools/benchmarks: what they measure with, and that they run, on sizes that say nothing about speed."""

import importlib
import itertools
import json
import statistics
from pathlib import Path
from types import ModuleType

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tests.strategies import normal, seeds
from tests.tools.conftest import ROOT, Run

FOLDER = ROOT / "tools" / "benchmarks"
ROUNDING = 1e-12
"""Float64, a few operations."""
seconds = st.floats(1e-6, 1e3)


@pytest.fixture(scope="module")
def measuring(script_folder: None) -> ModuleType:
    return importlib.import_module("measuring")


def test_contenders_take_turns_and_a_slow_one_leaves_when_its_budget_is_spent(measuring: ModuleType) -> None:
    ran: list[str] = []
    took = {"quick": 1.0, "slow": 100.0}
    jobs = {name: lambda name=name: ran.append(name) for name in took}

    def watch(job, calls: int) -> float:
        job()
        return took[ran[-1]] if calls == 1 else pytest.fail("a long job is called once in a round")

    times = measuring.interleave(jobs, watch, rounds=5, budget=50.0)
    assert ran == ["quick", "slow"] * 4 + ["quick"] * 2  # a call each before the rounds; three rounds are the least
    assert [len(times[name].rounds) for name in took] == [5, 3]


def test_a_short_job_is_called_often_enough_to_be_timed(measuring: ModuleType) -> None:
    asked: list[int] = []

    def watch(job, calls: int) -> float:
        asked.append(calls)
        return 1e-4

    measuring.interleave({"short": lambda: None}, watch, rounds=2)
    assert asked == [1, 1, 100, 100]


@given(st.lists(st.tuples(seconds, st.floats(1.0, 50.0)), min_size=1), st.floats(0.01, 100.0))
def test_what_slows_a_whole_round_does_not_change_the_ratio(measuring: ModuleType, rounds: list, ratio: float) -> None:
    ours = measuring.Timing(tuple(time * busy for time, busy in rounds))
    theirs = measuring.Timing(tuple(time * busy * ratio for time, busy in rounds))
    assert ours.times_faster_than(theirs) == pytest.approx(ratio, rel=ROUNDING)


@given(st.floats(0.1, 3.0), seconds, st.integers(2, 64))
def test_the_exponent_of_a_power_law_is_its_power(measuring: ModuleType, power: float, scale: float, growth: int) -> None:
    small, large = measuring.Timing((scale,)), measuring.Timing((scale * growth**power,))
    assert measuring.exponents(small, large, growth) == pytest.approx([power], abs=1e-9)  # a logarithm of rounded times


@given(st.floats(0.2, 2.0), st.floats(65.0, 16000.0))
def test_the_crossover_of_power_laws_is_where_they_cross(measuring: ModuleType, power: float, where: float) -> None:
    tokens = [64, 256, 1024, 4096, 16384]
    ratios = [(n / where) ** power for n in tokens]
    assert abs(float(measuring.crossover(tokens, ratios)) - where) <= 0.5 + 1e-6 * where  # told as a whole number


def test_a_crossover_outside_of_what_was_measured_is_said_to_be(measuring: ModuleType) -> None:
    assert measuring.crossover([64, 128], [1.1, 2.0]) == "below 64"
    assert measuring.crossover([64, 128], [2.0, 0.9]) == "beyond 128"


@given(st.floats(0.5, 20.0), st.floats(1.0, 3.0), st.booleans(), st.floats(0.1, 60.0))
def test_a_goal_is_judged_on_its_own_side(
    measuring: ModuleType, gate: float, more: float, at_least: bool, figure: float
) -> None:
    aim = gate * more if at_least else gate / more
    verdict = measuring.Judged(measuring.Goal("any", gate, aim, at_least), figure).verdict
    sign = 1 if at_least else -1
    assert (verdict == "missed") == (sign * figure < sign * gate)
    assert (verdict == "aim reached") == (sign * figure >= sign * aim)


def test_on_a_gpu_replays_are_timed_and_what_cannot_be_captured_says_why(
    measuring: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    replay = importlib.import_module("measuring.replay")
    ran: list[str] = []

    def captured(job):
        if job is jobs["syncs"]:
            try:
                raise RuntimeError("operation not permitted when stream is capturing\nSearch for it")
            finally:
                raise RuntimeError("capture_end")
        return lambda: ran.append("replay")

    def watch(job, calls: int) -> float:
        job()
        return 1.0

    jobs = {"plain": lambda: ran.append("called"), "syncs": lambda: ran.append("launched")}
    monkeypatch.setattr(replay, "_captured", captured)
    monkeypatch.setattr(replay, "stopwatch", lambda device: watch)
    times = replay.time_in_turn(jobs, torch.device("cuda"), rounds=1, budget=1.0)
    assert set(ran) == {"replay", "launched"}
    assert "not_captured" not in times["plain"].figures()
    assert times["syncs"].figures()["not_captured"] == "operation not permitted when stream is capturing"
    rows = [{"contender": name, "tokens": 64, **times[name].figures()} for name in jobs]
    (line,) = measuring.launches_in_words(rows)
    assert line.startswith("syncs at N = 64 was launched call by call")


@pytest.mark.gpu
def test_a_captured_job_computes_again_from_what_its_inputs_have_become(measuring: ModuleType) -> None:
    replay = importlib.import_module("measuring.replay")
    x, total = torch.ones(8, device="cuda"), torch.zeros((), device="cuda")
    again = replay._captured(lambda: total.copy_(x.sum()))
    x += 1
    again()
    assert total.item() == 16
    with pytest.raises(RuntimeError):
        replay._captured(lambda: total.item())
    assert torch.cuda.current_stream() == torch.cuda.default_stream()
    assert x.sum().item() == 16


def test_padding_is_no_work_of_our_cross_attention(script_folder: None) -> None:
    pytest.importorskip("diffusers")
    module = importlib.import_module("sana_pair")
    pair = module.Pair(module.NARROW, 1, torch.float32, torch.device("cpu"))
    with torch.inference_mode():
        keys = {n: pair.ours.prepare(None, pair.ask(2, n).guidance, None).cross[0].keys for n in (module.COUNTED, module.WORDS)}
    assert {n: k.shape[2] for n, k in keys.items()} == {module.COUNTED: 120, module.WORDS: 300}
    (part,) = (part for part in pair.parts(4) if part.name == "cross-attention")
    width = 64
    assert part.work.flops == 2 * (2 * 4 * width * width) + 4 * 4 * 120 * width


def test_work_at_either_peak_is_the_whole_roofline(measuring: ModuleType) -> None:
    peak = measuring.Peak({"float32": 100.0}, 10.0)
    for work in (measuring.Work(200.0, 1.0), measuring.Work(2.0, 20.0)):
        assert peak.shares(work, 2.0, "float32")["of_roofline"] == 1.0


def test_parts_share_the_whole_time_and_one_that_is_not_called_goes_to_the_part_around_it(
    measuring: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = itertools.count()
    monkeypatch.setattr(measuring.LayerClock, "_now", lambda clock: float(next(ticks)))
    inner, unused = nn.Linear(2, 2), nn.Linear(2, 2)
    model = nn.Sequential(nn.Sequential(inner, nn.ReLU()))
    paths = {(): [model], ("block",): [model[0]], ("block", "inner"): [inner], ("block", "unused"): [unused]}
    parts = [measuring.Part(path, "/".join(path) or "all", measuring.Work(1.0, 2.0)) for path in paths]
    clock = measuring.LayerClock(parts, paths, torch.device("cpu"))
    times = clock.own_times(lambda: model(torch.zeros(1, 2)))
    assert times == {(): 2.0, ("block",): 2.0, ("block", "inner"): 1.0}  # six looks at the clock, a tick between two of them
    called = clock.called(times)
    assert called[("block",)].name == "block, block/unused"
    assert (called[("block",)].work.flops, called[("block",)].work.bytes) == (2.0, 4.0)
    assert not inner._forward_hooks
    assert not inner._forward_pre_hooks


@settings(max_examples=10)
@given(seeds, st.integers(1, 70), st.integers(1, 3), st.booleans())
def test_the_linear_contenders_compute_the_same_and_all_give_tokens(
    script_folder: None, seed: int, tokens: int, heads: int, wide: bool
) -> None:
    pytest.importorskip("diffusers")
    module = importlib.import_module("contenders")
    qkv = normal(seed, 1, tokens, 3 * 32 * heads, dtype=torch.float32 if wide else torch.bfloat16)
    outputs = {c.name: c.mix(c.start(qkv, heads), heads) for c in module.contenders(torch.device("cpu"))}
    assert set(outputs) == {"ours", "diffusers", "SDPA"}
    for out in outputs.values():
        assert (out.shape, out.dtype) == ((1, tokens, 32 * heads), qkv.dtype)
    # float32 sums in another order; bfloat16 rounds the output once, to 2⁻⁸, and a sum near the middle goes either way
    allowed = (1e-5 if wide else 2.0**-7) * outputs["diffusers"].abs().max().item()
    assert (outputs["ours"].double() - outputs["diffusers"].double()).abs().max().item() <= allowed


def full_attention_report(ratio: float) -> dict:
    """Every place for which there is a goal, with rounds as if linear attention took 1 ms for 1024 tokens."""
    places = itertools.product((36, 8), ("float32", "bfloat16"), ("forward", "forward and backward"), (1024, 4096, 16384))
    rows = []
    for (heads, dtype, direction, tokens), name in itertools.product(places, ("ours", "diffusers", "SDPA")):
        own = 1.0 if name == "ours" else ratio
        rounds = [own * tokens / 1024 * busy for busy in (1.0, 3.0, 2.0)]
        row = {
            "heads": heads, "head_width": 32, "dtype": dtype, "direction": direction, "tokens": tokens, "contender": name,
            "rounds_ms": rounds, "median_ms": statistics.median(rounds), "minimum_ms": min(rounds), "times_ours": own,
            "peak_bytes": 1000 * own, "difference": 1e-7,
        }  # fmt: skip
        rows.append(row)
    return {"device": "cpu", "peak_flops": {"float32": 1e11}, "peak_bytes": 1e10, "rows": rows}


@pytest.mark.parametrize(("ratio", "verdicts"), [(100.0, {"aim reached", "gate passed"}), (0.9, {"missed", "aim reached"})])
def test_every_goal_of_the_attention_is_judged(script_folder: None, ratio: float, verdicts: set[str]) -> None:
    report_of = importlib.import_module("attention_report")
    report = full_attention_report(ratio)
    judged = report_of.judge(report)
    # 3 float32 and 3 bfloat16 speeds against diffusers, 3 against SDPA, 2 backward, 4 exponents, 4 peaks
    assert len(judged) == 19
    assert {one.verdict for one in judged} == verdicts
    exponents = [one.figure for one in judged if "exponent" in one.goal.name]
    assert exponents == pytest.approx([1.0] * 4)  # a busy round is busy at both sizes
    for one in judged:
        assert one.goal.name in report_of.tables(report)


def test_the_attention_benchmark_runs_and_its_tables_are_made_of_its_json(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("diffusers")
    done = run("benchmarks/attention.py", "--quick", "--device", "cpu", "--out", "out/attention.json")
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "out" / "attention.json").read_text())
    assert {row["contender"] for row in report["rows"]} == {"ours", "diffusers", "SDPA"}
    assert all(row["median_ms"] > 0 and row["peak_bytes"] > 0 for row in report["rows"])
    assert report["record"]["command"].endswith("--out out/attention.json")
    assert (tmp_path / "out" / "attention.png").read_bytes().startswith(b"\x89PNG")
    (tmp_path / "page.md").write_text("<!-- made by this -->\n<!-- end -->\n")
    assert run("benchmarks/attention.py", "--markdown", "out/attention.json", "--into", "page.md").returncode == 0
    printed = run("benchmarks/attention.py", "--markdown", "out/attention.json").stdout
    assert "2 × 32, bfloat16, forward and backward" in printed
    assert printed.strip() in (tmp_path / "page.md").read_text()


def test_the_backbone_benchmark_runs_and_both_models_agree(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("diffusers")
    done = run("benchmarks/backbone.py", "--quick", "--device", "cpu", "--out", "backbone.json")
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "backbone.json").read_text())
    all_counted = {f"{name}, all 300 words counted" for name in ("diffusers", "ours")}
    assert {row["contender"] for row in report["rows"]} == {"diffusers", "ours", "ours, first step"} | all_counted
    exact = [row["difference"] for row in report["rows"] if row["dtype"] == "float32"]
    assert max(exact) <= 1e-6  # the goal for float32 with at most four blocks
    parts = [layer for layer in report["layers"] if layer["dtype"] == "float32"]
    assert sum(part["of_time"] for part in parts) == pytest.approx(1.0)
    assert any("attention core" in part["part"] for part in parts)
    assert "attention core" in run("benchmarks/backbone.py", "--markdown", "backbone.json").stdout


@pytest.mark.slow  # processes
def test_variants_are_trained_once_and_one_that_fails_stops_no_other(run: Run, config: Path, tmp_path: Path) -> None:
    broken = tmp_path / "attention_broken.py"
    broken.write_text(f'_base_ = ["{config}"]\nmodel = dict(denoiser=dict(head_width=7))\n')
    words = ("--config", config, "--steps", 2, "--sides", 8, 16, "--only", broken, "ReLULinearAttention", "--out", "v.json")
    first = run("benchmarks/variants.py", *words)
    assert first.returncode == 0, first.stderr
    report = json.loads((tmp_path / "v.json").read_text())
    (row,) = report["rows"]
    assert row["name"] == "ReLULinearAttention"
    assert row["psnr_y"].keys() == {"tiny"}
    assert row["exponents"]["flops"] == pytest.approx(1.0, abs=0.05)  # its projections and its state, both linear
    assert "denoiser.head_width is 7" in report["failed"]["attention_broken"]
    assert "ReLULinearAttention" in first.stdout
    (checkpoint,) = (tmp_path / "work_dirs" / "variants").glob("ReLULinearAttention/*/iter_2.pth")
    made = checkpoint.stat().st_mtime_ns
    again = run("benchmarks/variants.py", *words)
    assert json.loads((tmp_path / "v.json").read_text())["rows"] == report["rows"], again.stderr
    assert checkpoint.stat().st_mtime_ns == made
