"""tools/benchmarks/knee.py: the peers are what their papers say, and the tables are made of the JSON."""

import importlib
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tests.tools.conftest import Run


@pytest.fixture
def peers(script_folder: None) -> ModuleType:
    pytest.importorskip("kneed")
    return importlib.import_module("knee_peers")


FALLS_AND_RISES = np.concatenate([np.linspace(2, 1, 11), np.linspace(1, 1.5, 11)[1:], np.linspace(1.5, 0.5, 11)[1:]])
"""Errors: best at 10, above it by 5 % first at 12, half as much again at 20, then better than ever."""


def test_generalization_loss_keeps_the_best_before_the_error_is_alpha_percent_above_it(peers: ModuleType) -> None:
    assert peers.generalization_loss(FALLS_AND_RISES, limit=5.0) == 10
    assert peers.generalization_loss(FALLS_AND_RISES, limit=51.0) == len(FALLS_AND_RISES) - 1


def test_the_progress_quotient_forgives_losses_while_training_goes_fast(peers: ModuleType) -> None:
    still, fast = np.full(31, 1.0) - 1e-6 * np.arange(31), np.linspace(2, 0.05, 31)
    assert peers.progress_quotient(FALLS_AND_RISES, still) == 10
    # the strip 10 … 14 of `fast` has mean/min 1.1: progress 118, GL at its end 20, quotient 0.17
    assert peers.progress_quotient(FALLS_AND_RISES, fast, limit=0.5) == len(FALLS_AND_RISES) - 1


def test_up_s_stops_after_s_strips_of_increase_in_a_row(peers: ModuleType) -> None:
    # ends of strips: 4, 9, 14, 19, 24, 29; the error is above that five before at 14 and 19 only
    assert peers.successive_increases(FALLS_AND_RISES, strips=2) == 10
    assert peers.successive_increases(FALLS_AND_RISES, strips=3) == len(FALLS_AND_RISES) - 1


def test_the_benchmark_runs_and_its_tables_are_made_of_its_json(run: Run, peers: ModuleType, tmp_path: Path) -> None:
    done = run("benchmarks/knee.py", "--runs", 2, "--first-seed", 7, "--out", "knee.json")
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "knee.json").read_text())
    methods = {row["method"] for row in report["rows"]}
    assert methods >= {"ours, three metrics", "ours, one metric", *peers.PEERS}
    assert [row["count"] for row in report["rows"] if row["curves"] == "all"] == [2] * len(methods)
    (tmp_path / "page.md").write_text("<!-- made by this -->\n<!-- end -->\n")
    assert run("benchmarks/knee.py", "--markdown", "knee.json", "--into", "page.md").returncode == 0
    page = (tmp_path / "page.md").read_text()
    assert "2 runs of 60 evaluations, seeds 7 to 8." in page
    assert all(f"| {method} |" in page for method in methods)
