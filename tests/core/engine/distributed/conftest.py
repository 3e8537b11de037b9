"""Seven pictures, and ranks as processes of their own."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import torch

from linearsr.core.data import write_image

ROOT = Path(__file__).parents[4]
PATIENCE = 240
"""Seconds after which a process counts as hung, on a machine with much else to do."""

Done = subprocess.CompletedProcess[str]
Start = Callable[..., "list[subprocess.Popen[str]]"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for index in range(7):
        picture = torch.rand(3, 24, 26, generator=torch.Generator().manual_seed(index))
        write_image(tmp_path / "data" / f"p{index}.png", picture)
    return tmp_path / "data"


def environment(**more: str) -> dict[str, str]:
    """Of a process that no launcher has started yet."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "TORCHELASTIC_", "MASTER_"))}
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        ours.pop(name, None)
    return ours | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "COLUMNS": "200", "PYTHONPATH": str(ROOT)} | more


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def torchrun(tmp_path: Path) -> Callable[..., Done]:
    """`torchrun("train.py", config, …)` on two ranks, as a user starts it."""

    def run(script: str, *words: str | Path, ranks: int = 2) -> Done:
        launch = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={ranks}", "--master-port", str(free_port())]
        command = [*launch, str(ROOT / "tools" / script), *map(str, words), "--launcher", "pytorch"]
        return subprocess.run(
            command, capture_output=True, text=True, cwd=tmp_path, env=environment(), timeout=PATIENCE, check=False
        )

    return run


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """`start("train.py", config, …)`: two ranks without an agent that looks after them, as Slurm starts them."""
    started: list[subprocess.Popen[str]] = []

    def ranks(script: str, *words: str | Path, options: Sequence[str] = (), **more: str) -> list[subprocess.Popen[str]]:
        port, overrides = free_port(), ["--cfg-options", *options]
        for rank in range(2):
            slurm = {
                "SLURM_PROCID": str(rank), "SLURM_NTASKS": "2", "SLURM_LOCALID": str(rank),
                "SLURM_JOB_NODELIST": "localhost", "SLURM_JOB_ID": "7", "MASTER_PORT": str(port),
            }  # fmt: skip
            script_and_words = [str(ROOT / "tools" / script), *map(str, words), "--launcher", "slurm", *overrides]
            process = subprocess.Popen(
                [sys.executable, *script_and_words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
                env=environment(**slurm, **more),
            )  # fmt: skip
            started.append(process)
        return started[-2:]

    yield ranks
    for process in started:
        process.kill()
        process.communicate()
