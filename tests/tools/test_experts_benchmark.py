"""tools/benchmarks/experts.py: arms that begin alike, trained once each, and tables and a plot of what came out."""

import copy
import importlib
import json
import runpy
import subprocess
import sys
from concurrent.futures import Executor, Future
from pathlib import Path
from types import ModuleType

import pytest

from linearsr.core.config import load_config
from linearsr.core.registries import MODELS
from linearsr.core.stages import stages_of
from tests.tools.conftest import ROOT, Run

ARMS = ("experts_1", "experts_2", "experts_4_snr", "experts_4_uniform")
STAGES = """
test_cfg = dict(num_steps=[1, 4])
stages = [dict(name="pretrain"), dict(name="experts", init="pretrain@last"{more})]
"""
MIXTURE = """, override=dict(
    model=dict(
        denoiser=dict(
            _delete_=True, type="ExpertMixture", router=dict(type="UniformRouter", num_experts=2),
            expert=_base_.model.denoiser),
        expert_shares=[1, 3]),
    custom_hooks=[dict(type="ExpertLogHook")])"""


@pytest.fixture
def report_of(script_folder: None) -> ModuleType:
    return importlib.import_module("experts_report")


@pytest.fixture
def arms(config: Path, tmp_path: Path) -> list[Path]:
    paths = []
    for name, more in (
        ("one", ""),
        ("two", MIXTURE),
        ("broken", ', override=dict(optim_wrapper=dict(optimizer=dict(lr="fast")))'),
    ):
        paths.append(tmp_path / f"{name}.py")
        paths[-1].write_text(f'_base_ = ["{config}"]\n' + STAGES.format(more=more))
    return paths


class AtOnce(Executor):
    """Whoever submits waits: mmengine does not read configs in two threads at a time."""

    def submit(self, fn, /, *args, **kwargs):
        done: Future = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as error:
            done.set_exception(error)
        return done


@pytest.fixture
def workers_in_this_process(report_of: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds instead of minutes; tests of variants.py have processes."""
    monkeypatch.setattr(importlib.import_module("experts_runs"), "ThreadPoolExecutor", lambda jobs: AtOnce())
    run = subprocess.run

    def here(words: list[str], **options):
        if not words[1].endswith("train_variant.py"):
            return run(words, **options)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", words[1:])
            try:
                runpy.run_path(words[1], run_name="__main__")
            except SystemExit as leave:
                options["stdout"].write("it refused")
                return subprocess.CompletedProcess(words, leave.code)
        return subprocess.CompletedProcess(words, 0)

    monkeypatch.setattr(subprocess, "run", here)


@pytest.mark.slow
@pytest.mark.usefixtures("workers_in_this_process")
def test_arms_begin_with_one_training_and_none_is_run_twice(
    run: Run, report_of: ModuleType, arms: list[Path], tmp_path: Path
) -> None:
    words = ("benchmarks/experts.py", "--configs", *arms, "--steps", 4, "--seeds", 3, "--out", "experts.json")
    done = run(*words)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "experts.json").read_text())
    first, one, two, at_dense_times = report["rows"]
    assert [row["name"] for row in report["rows"]] == ["first stage", "one", "two", "two_dense_times"]
    assert list(report["failed"]) == ["broken, seed 3"]
    assert "it refused" in report["failed"]["broken, seed 3"]
    assert {(f["dataset"], f["num_steps"]) for f in two["figures"]} == {("tiny", None), ("tiny", 1), ("tiny", 4)}
    assert first["cpu_seconds"] < min(one["cpu_seconds"], two["cpu_seconds"])
    assert two["parameters"] == 2 * one["parameters"]
    assert (one["shares"], sum(two["shares"])) == ([], pytest.approx(1))
    assert at_dense_times["figures"] != two["figures"]
    starts = [tmp_path / "work_dirs" / "experts" / arm / "steps_4_seed_3" for arm in ("first_stage", "one", "two")]
    checkpoints = [(start / "pretrain" / "iter_4.pth").read_bytes() for start in starts]
    assert checkpoints[0] == checkpoints[1] == checkpoints[2]
    written = [(start / "result.json").stat().st_mtime_ns for start in starts]
    assert run(*words).returncode == 0
    assert [(start / "result.json").stat().st_mtime_ns for start in starts] == written
    assert json.loads((tmp_path / "experts.json").read_text())["rows"] == report["rows"]
    assert (tmp_path / "experts.png").stat().st_size > 1000


def test_configs_without_stages_are_one_line(run: Run, report_of: ModuleType, config: Path) -> None:
    done = run("benchmarks/experts.py", "--configs", config)
    assert done.returncode == 2
    assert "has no stages" in done.stderr
    assert "Traceback" not in done.stderr


def row(name: str, seed: int, psnr: float, niqe: float | None = None, shares: tuple[float, ...] = ()) -> dict:
    figures = [{"dataset": "d", "method": "bicubic", "num_steps": None, "psnr_y": 20.0, "niqe": None}]
    figures.append({"dataset": "d", "method": "model", "num_steps": 1, "psnr_y": psnr, "niqe": niqe})
    return {"name": name, "seed": seed, "cpu_seconds": 10.0, "parameters": 1234, "shares": list(shares), "figures": figures}


REPORT = {
    "steps": 5,
    "seeds": [0, 1],
    "arms": ["a", "b"],
    "failed": {"b, seed 2": "it broke"},
    "rows": [
        row("a", 0, 30.0),
        row("a", 1, 31.0),
        row("b", 0, 30.5, shares=(0.25, 0.75)),
        row("b", 1, 31.7, shares=(0.35, 0.65)),
    ],
}


def test_tables_show_mean_spread_and_the_difference_of_the_same_seed(report_of: ModuleType) -> None:
    text = report_of.tables(REPORT)
    assert "| bicubic | 20.000 |" in text
    assert "| a | 30.500 ± 0.707 |" in text  # of 30 and 31, with n − 1 = 1: 1/√2
    assert "| b | 31.100 ± 0.849 |" in text
    assert "| b | +0.600 ± 0.141 |" in text  # of +0.5 and +0.7
    assert "| b | 1,234 | 10 | 30 % / 70 % |" in text
    assert "b, seed 2 did not finish: it broke" in text
    assert "NIQE" not in text  # which nobody measured


def test_the_tables_of_a_page_are_made_of_the_json(run: Run, report_of: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "e.json").write_text(json.dumps(REPORT))
    (tmp_path / "page.md").write_text("<!-- made by this -->\n<!-- end -->\n")
    assert run("benchmarks/experts.py", "--markdown", "e.json", "--into", "page.md").returncode == 0
    assert report_of.tables(REPORT) in (tmp_path / "page.md").read_text()


def test_a_report_of_failures_alone_and_one_of_a_single_seed_can_be_shown(report_of: ModuleType) -> None:
    assert report_of.tables(REPORT | {"rows": []}) == "b, seed 2 did not finish: it broke"
    single = REPORT | {"rows": [copy.deepcopy(REPORT["rows"][0])]}
    assert "| a | 30.000 |" in report_of.tables(single)


def test_all_shipped_arms_begin_with_one_stage_and_are_trained_alike() -> None:
    stages = {name: stages_of(load_config(ROOT / "configs" / "ablations" / f"{name}.py")) for name in ARMS}
    plain = [[stage.cfg.to_dict() for stage in both] for both in stages.values()]
    assert all(first == plain[0][0] for first, _ in plain)
    for _, second in plain:
        model = second["model"]
        second.pop("custom_hooks", None)
        expert, shares = model["denoiser"].get("expert", model["denoiser"]), model.pop("expert_shares", [1])
        assert len(set(shares)) == 1
        assert len(shares) == len(getattr(MODELS.build(model).denoiser, "experts", [1]))
        model["denoiser"] = expert
        assert second == plain[0][1]
