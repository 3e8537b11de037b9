"""Runs that are harmed, and what must be true after the next start. `--fault-times 5` repeats every fault."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from linearsr.core.data import write_image
from tests.core.engine.conftest import CONFIG, ROOT

ITERATIONS, EVERY = 20, 4
HARMLESS = ("LossLog", "NoiseFromEveryGenerator")
Done = subprocess.CompletedProcess[str]


@dataclass(frozen=True)
class Lab:
    """A tiny run, its uninterrupted twin, and a way to start it in a process of its own."""

    config: Path
    reference: Path

    def train(
        self,
        folder: Path,
        *options: str,
        harm: str = "",
        resume: bool = False,
        launch: Sequence[str] = (sys.executable,),
        more: Sequence[str] = (),
        user: int | None = None,
    ) -> Done:
        """harm: what a hook of fault_hooks.py is built from, such as "at=3" after its name: "KillAt, at=3"."""
        config = self.config
        if harm:
            config = folder.parent / "harmed.py"
            config.write_text(f'_base_ = ["{self.config}"]\n' + custom_hooks(*HARMLESS, harm))
        words = [*launch, str(ROOT / "tools/train.py"), str(config), "--work-dir", str(folder), *more]
        words += ["--resume"] * resume + (["--cfg-options", *options] if options else [])
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "COLUMNS": "400"}
        return subprocess.run(
            words, capture_output=True, text=True, env=environment, timeout=300, start_new_session=True, user=user
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
    for index in range(4):
        write_image(root / "data" / f"p{index}.png", torch.rand(3, 24, 26, generator=torch.Generator().manual_seed(index)))
    config = root / "tiny.py"
    text = CONFIG.format(root=ROOT, data=root / "data")
    text = text.replace("max_iters=6, val_interval=3", f"max_iters={ITERATIONS}, val_interval=5")
    text = text.replace("interval=3, max_keep_ckpts=-1", f'interval={EVERY}, max_keep_ckpts=2, save_best="psnr_y"')
    text = text.replace("clip_grad=", "accumulative_counts=2, clip_grad=")
    config.write_text(text + custom_hooks(*HARMLESS))
    lab = Lab(config, root / "straight")
    done = lab.train(lab.reference)
    assert done.returncode == 0, done.stderr
    return lab


def custom_hooks(*described: str) -> str:
    """A line of a config. Each: a name of fault_hooks.py, then its options."""
    hooks = []
    for text in described:
        name, comma, options = text.partition(",")
        hooks.append(f'dict(type="tests.faults.fault_hooks.{name}"{comma}{options})')
    return f"custom_hooks = [{', '.join(hooks)}]\n"


def weights_files(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*.pth")}


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


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "time" in metafunc.fixturenames:
        metafunc.parametrize("time", range(metafunc.config.getoption("--fault-times")))
