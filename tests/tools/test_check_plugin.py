"""tools/check_plugin.py from the command line: what it prints, writes and returns."""

import json
import sys
from pathlib import Path

import pytest
import torch

from linearsr.core.plugin_check import kinds
from linearsr.core.registries import ALL
from tests.plugins.packages import install
from tests.tools.conftest import ROOT, Run

SOURCE = '''
import torch
from torch import nn


class Pooled(nn.Module):
    """Conforms."""

    linear, permutation_equivariant, additive = True, True, False

    def __init__(self, dim, rank=8):
        super().__init__()
        self.down, self.up = nn.Linear(dim, rank), nn.Linear(rank, dim)

    def forward(self, x, grid):
        if not len(x) or x.shape[1] != grid[0] * grid[1]:
            raise ValueError(f"{tuple(x.shape)} tokens do not fill {grid}")
        return self.up(torch.relu(self.down(x))) + x.mean(1, keepdim=True)


class Leaking(Pooled):
    def forward(self, x, grid):
        return super().forward(x - x.mean(0, keepdim=True), grid)


class Alternating:
    """A router that forgets what it decided."""

    boundaries, depends_on_time_only = (0.5,), True
    calls = 0

    def route(self, t, features=None):
        Alternating.calls += 1
        return (t >= 0.5).long() if Alternating.calls % 2 else (t < 0.5).long()


class Fussy:
    boundaries, depends_on_time_only, route = (), True, None

    def __init__(self, depth):
        raise RuntimeError(f"depth {depth} is not to my taste")


FUNCTION = 3
'''


@pytest.fixture(autouse=True)
def package(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """my_pkg.py, installed, with an entry point; compiling is tried elsewhere."""
    install(site, "my_pkg", "my_pkg", SOURCE, {"PooledByName": "my_pkg:Pooled"}, "linearsr.attention")
    monkeypatch.setattr(torch, "compile", lambda module, **_: module)
    monkeypatch.setattr(sys, "path", list(sys.path))  # the script adds its folder
    monkeypatch.delitem(sys.modules, "my_pkg", raising=False)


@pytest.mark.parametrize("name", ["my_pkg:Pooled", "my_pkg.Pooled", "PooledByName"])
def test_a_conforming_attention_is_rc_0_by_each_of_its_names(run: Run, name: str) -> None:
    done = run("check_plugin.py", name, "--options", "rank=3", "--dim", "12", "--num-heads", "3")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{12 * 3 + 3 + 3 * 12 + 12} parameters" in done.stdout
    assert done.stdout.splitlines()[-1] == "Pooled: conforms"


def test_a_broken_one_is_rc_1_and_its_laws_are_named_with_numbers(run: Run, tmp_path: Path) -> None:
    done = run("check_plugin.py", "my_pkg:Leaking", "--device", "cpu", "--json", "out/report.json")
    assert done.returncode == 1, done.stderr
    *_, verdict, broken = done.stdout.splitlines()
    assert verdict.startswith("Leaking: 1 of ")
    assert broken.startswith("  a picture's output does not depend on its batch: AssertionError: alone differs by ")
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["subject"] == "Leaking"
    assert not report["passed"]
    (failed,) = [finding for finding in report["findings"] if finding["status"] == "failed"]
    assert failed["detail"] in broken
    assert report["environment"]["torch"] == torch.__version__
    assert report["environment"]["device"] == "cpu"


def test_a_package_being_written_in_this_folder_is_found(run: Run, tmp_path: Path) -> None:
    (tmp_path / "draft_pkg.py").write_text(SOURCE)
    assert run("check_plugin.py", "draft_pkg:Leaking").returncode == 1


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("router", ["SNRRouter"]),
        ("solver", ["Euler"]),
        ("path", ["linearsr.schedules:RectifiedFlow"]),
        ("time_grid", ["ShiftedGrid", "--options", "shift=2.0"]),
        ("feed_forward", ["GatedConvFeedForward", "--options", "ratio=2.0"]),
        ("metric", ["PictureMetrics", "--options", "metrics=[psnr_y]", "crop_border=4"]),
    ],
)
def test_other_kinds_are_tried_by_the_laws_of_their_own(run: Run, kind: str, words: list[str]) -> None:
    done = run("check_plugin.py", *words, "--kind", kind)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "conforms" in done.stdout


def test_off_a_terminal_the_table_is_wider_than_a_terminal(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS")
    done = run("check_plugin.py", "Euler", "--kind", "solver")
    assert 80 < max(map(len, done.stdout.splitlines())) <= 160


def test_another_kind_can_be_broken_too(run: Run) -> None:
    done = run("check_plugin.py", "my_pkg:Alternating", "--kind", "router")
    assert done.returncode == 1
    assert "the same times went to other experts" in done.stdout


def test_every_kind_that_has_a_contract_test_is_known() -> None:
    tested = {path.stem.removeprefix("test_").removesuffix("s") for path in (ROOT / "tests" / "contracts").glob("test_*.py")}
    assert {registry.group.removeprefix("linearsr.").removesuffix("s") for registry in ALL} & tested == set(kinds())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["no_such_pkg:Mine"], "'no_such_pkg:Mine' does not load: ModuleNotFoundError: No module named 'no_such_pkg'"),
        (["my_pkg:Mine"], "'my_pkg:Mine' does not load: AttributeError"),
        (["my_pkg:FUNCTION"], "'my_pkg:FUNCTION' is of type int; wanted a class"),
        (["ReLULinearAtention"], "did you mean 'ReLULinearAttention'?"),
        (["my_pkg:Pooled", "--options", "rnk=3"], "Pooled has no key 'rnk'; did you mean 'rank'?"),
        (
            ["my_pkg:Pooled", "--kind", "atention"],
            "no laws for the kind 'atention'; did you mean 'attention'? Kinds: attention, ",
        ),
        (["Euler", "--kind", "solver", "--dim", "8"], "--dim does not apply to --kind solver"),
        (["Euler", "--kind", "solver", "--device", "cpu"], "--device does not apply to --kind solver"),
        (
            ["Euler", "--kind", "solver", "--num-heads", "2"],
            "--num-heads does not apply to --kind solver",
        ),
        (["Euler", "--kind", "solver", "--timing"], "--timing does not apply to --kind solver"),
        (["LinearDiT", "--kind", "denoiser", "--options", "depth=2"], "LinearDiT needs 'width', 'head_width', 'attention', "),
        (["my_pkg:Pooled", "--device", "nope"], "device='nope' holds no float64: "),
        (["my_pkg:Pooled", "--kind", "router"], "Pooled needs 'dim'"),
        (["Euler", "--kind", "router"], "Euler is no router; try it as --kind solver"),
        (["linearsr.schedules:Euler", "--kind", "router"], "is no router: it lacks boundaries"),
        (["my_pkg:Fussy", "--kind", "router", "--options", "depth=3"], "RuntimeError: depth 3 is not to my taste"),
    ],
)
def test_a_mistake_is_one_line_and_rc_2(run: Run, words: list[str], message: str) -> None:
    done = run("check_plugin.py", *words)
    assert done.returncode == 2, done.stdout + done.stderr
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not done.stdout
