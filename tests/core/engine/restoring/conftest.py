"""Folders of small LR pictures, and runs in processes of their own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from linearsr.core.data import write_image
from tests.core.engine.conftest import CONFIG, ROOT, config, data  # noqa: F401  (fixtures)
from tests.core.engine.distributed.conftest import start, torchrun  # noqa: F401  (fixtures)

Done = subprocess.CompletedProcess[str]


def picture(seed: int, height: int = 6, width: int = 7) -> torch.Tensor:
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Six good pictures of two sizes, in a folder and one below it."""
    for index in range(6):
        write_image(tmp_path / "lr" / ("sub" if index % 2 else "") / f"p{index}.png", picture(index, height=6 + index // 4))
    return tmp_path / "lr"


def lines(out: Path) -> dict[str, dict]:
    """Of the manifest, by name, without times; fails for two lines of one name and for lines out of order."""
    found = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    assert [line["name"] for line in found] == sorted({line["name"] for line in found})
    return {line.pop("name"): {key: value for key, value in line.items() if key != "seconds"} for line in found}


def restored(out: Path) -> dict[str, bytes]:
    """Every restored picture, by its place."""
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*.png")}


def times(out: Path) -> dict[str, int]:
    return {str(path.relative_to(out)): path.stat().st_mtime_ns for path in out.rglob("*.png")}


@pytest.fixture
def test_script(tmp_path: Path, config: Path) -> Callable[..., Done]:  # noqa: F811
    """`test_script(out, harm="KillAt, …")`: tools/test.py --pictures lr in a process of its own; harm: as in tests/faults."""

    def run(out: Path, *words: str, harm: str = "") -> Done:
        used = config
        if harm:
            name, _, options = harm.partition(",")
            used = config.with_name("harmed.py")
            used.write_text(
                f'_base_ = ["{config}"]\ncustom_hooks = [dict(type="tests.core.engine.restoring.harm.{name}", {options})]\n'
            )
        command = [
            sys.executable,
            str(ROOT / "tools/test.py"),
            str(used),
            "none",
            "--pictures",
            "lr",
            "--out",
            str(out),
            *words,
        ]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "COLUMNS": "300"}
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=240, check=False)

    return run
