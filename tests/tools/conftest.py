"""Runs the scripts of tools/ as a user does: in this process, which is quick, or in one of their own."""

import os
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from tests.core.engine.conftest import config, data  # noqa: F401  (fixtures)

ROOT = Path(__file__).parents[2]
Done = subprocess.CompletedProcess[str]
Run = Callable[..., Done]


@pytest.fixture(scope="module")
def script_folder() -> Iterator[None]:
    """Modules beside the benchmarks are found, as when one of these is run; the number of threads is put back."""
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "tools" / "benchmarks"))
        yield
    torch.set_num_threads(threads)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], script_folder: None) -> Run:
    """`run("train.py", …)` in this process, in a folder of the test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def command(*words: str | Path) -> Done:
        script = ROOT / "tools" / str(words[0])
        monkeypatch.setattr(sys, "argv", [str(script), *map(str, words[1:])])
        capsys.readouterr()
        code = 0
        try:
            runpy.run_path(str(script), run_name="__main__")
        except SystemExit as leave:
            code = int(leave.code or 0)
        return Done(sys.argv, code, *capsys.readouterr())

    return command


@pytest.fixture
def run_process(tmp_path: Path) -> Run:
    """As `run`, in a process of its own. site: a folder of installed packages to be seen."""

    def command(*words: str | Path, site: Path | None = None) -> Done:
        environment = os.environ | {"PYTHONPATH": str(site or ""), "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
        script = [sys.executable, str(ROOT / "tools" / str(words[0])), *map(str, words[1:])]
        return subprocess.run(script, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)

    return command
