"""Runs that are harmed, and what must be true after the next start. `--fault-times 5` repeats every fault."""

import ctypes
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from linearsr.core.atomic import write_text
from linearsr.core.data import write_image
from linearsr.core.record import machine_record
from tests.core.engine.conftest import CONFIG, ROOT

ITERATIONS, EVERY = 20, 4
HARMLESS = ("LossLog", "NoiseFromEveryGenerator")
Done = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Lab:
    """A tiny run, its uninterrupted twin, and a way to start it in a process of its own."""

    config: Path
    reference: Path
    launch: tuple[str, ...] = (sys.executable,)
    launcher: str = "none"

    def train(self, folder: Path, *options: str, harm: str = "", resume: bool = False) -> Done:
        """harm: what a hook of fault_hooks.py is built from, such as "at=3" after its name: "KillAt, at=3"."""
        config = self.config
        if harm:
            config = folder.parent / "harmed.py"
            config.write_text(f'_base_ = ["{self.config}"]\n' + custom_hooks(*HARMLESS, harm))
        words = [
            *self.launch,
            str(ROOT / "tools/train.py"),
            str(config),
            "--work-dir",
            str(folder),
            "--launcher",
            self.launcher,
        ]
        words += ["--resume"] * resume + (["--cfg-options", *options] if options else [])
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "COLUMNS": "400"}
        return subprocess.run(
            words, capture_output=True, text=True, env=environment, timeout=300, start_new_session=True, preexec_fn=obey_modes
        )

    def goes_on(self, folder: Path, *options: str) -> None:
        """The next start ends as if nothing had happened, to the last bit, and leaves nothing lying about."""
        done = self.train(folder, *options, resume=True)
        assert done.returncode == 0, done.stderr
        assert weights_files(folder) == weights_files(self.reference)
        self.ended_alike(folder)

    def ended_alike(self, folder: Path) -> None:
        assert losses(folder) == losses(self.reference)
        last = f"iter_{ITERATIONS}.pth"
        mine, theirs = (torch.load(where / last, weights_only=True) for where in (folder, self.reference))
        for part in ("state_dict", "ema_state_dict", "optimizer", "param_schedulers", "random_state"):
            assert equal(mine[part], theirs[part]), f"{part} of {last} differs"
        assert mine["meta"]["position"] == theirs["meta"]["position"]
        assert not [path for path in folder.rglob("*") if path.name.startswith(".")]


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    root = tmp_path_factory.mktemp("lab")
    return started(Lab(written_config(root, batch_size=2), root / "straight"))


@pytest.fixture(scope="session")
def lab_of_two_ranks(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    root = tmp_path_factory.mktemp("lab_of_two")
    torchrun = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    return started(Lab(written_config(root, batch_size=1), root / "straight", torchrun, "pytorch"))


def started(lab: Lab) -> Lab:
    done = lab.train(lab.reference)
    assert done.returncode == 0, done.stderr
    return lab


def written_config(root: Path, batch_size: int) -> Path:
    for index in range(4):
        write_image(root / "data" / f"p{index}.png", torch.rand(3, 24, 26, generator=torch.Generator().manual_seed(index)))
    text = CONFIG.format(root=ROOT, data=root / "data")
    for old, new in (
        ("max_iters=6, val_interval=3", f"max_iters={ITERATIONS}, val_interval=5"),
        ("interval=3, max_keep_ckpts=-1", f'interval={EVERY}, max_keep_ckpts=2, save_best="psnr_y"'),
        ("clip_grad=", "accumulative_counts=2, clip_grad="),
        ("batch_size=2", f"batch_size={batch_size}"),
    ):
        assert old in text
        text = text.replace(old, new)
    config = root / "tiny.py"
    config.write_text(text + custom_hooks(*HARMLESS))
    return config


def obey_modes() -> None:
    """Root may write anywhere; its children here may not: they lose CAP_DAC_OVERRIDE (man 2 prctl, PR_CAPBSET_DROP)."""
    if os.geteuid() == 0:
        ctypes.CDLL(None).prctl(24, 1, 0, 0, 0)


def custom_hooks(*described: str) -> str:
    """A line of a config. Each: a name of fault_hooks.py, then its options."""
    hooks = []
    for text in described:
        name, comma, options = text.partition(",")
        hooks.append(f'dict(type="tests.faults.fault_hooks.{name}"{comma}{options})')
    return f"custom_hooks = [{', '.join(hooks)}]\n"


def weights_files(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*.pth")}


def snapshot(folder: Path) -> dict[Path, int]:
    """Every file with the time of its last change."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def losses(folder: Path) -> dict[int, list[str]]:
    """The last loss of every iteration: those after the last checkpoint are done again."""
    lines = [line.split() for line in (folder / "losses.0.txt").read_text().splitlines()]
    return {int(line[0]): line[1:] for line in lines}


def equal(one, two) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, two)
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(equal(one[key], two[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(two) and all(map(equal, one, two))
    return one == two


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fault-times", type=int, default=1, help="how often every fault is tried")
    parser.addoption("--fault-report", help="a JSON file for how often each was tried and survived")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "time" in metafunc.fixturenames:
        metafunc.parametrize("time", range(metafunc.config.getoption("--fault-times")))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    path = config.getoption("--fault-report")
    if not path:
        return
    counts: dict[str, dict[str, int]] = {}
    for outcome in ("passed", "failed", "error"):
        for report in terminalreporter.getreports(outcome):
            name = report.nodeid.rsplit("::", 1)[-1].partition("[")[0].removeprefix("test_").replace("_", " ")
            row = counts.setdefault(name, {"tried": 0, "survived": 0})
            row["tried"] += 1
            row["survived"] += outcome == "passed"
    write_text(path, json.dumps({"faults": counts, "record": machine_record()}, indent=2) + "\n")
