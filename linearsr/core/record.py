"""How a result was made: versions, command, git commit, config hash and seed, for every run folder and result file."""

from __future__ import annotations

import json
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from importlib_metadata import PackageNotFoundError, version
from mmengine.config import Config

from linearsr.core.atomic import write_text
from linearsr.core.config import config_hash

PACKAGES = (
    "linearsr",
    "torch",
    "mmengine",
    "mmcv-lite",
    "einops",
    "numpy",
    "pillow",
    "safetensors",
    "scikit-image",
    "scikit-learn",
    "diffusers",
    "transformers",
    "tokenizers",
    "triton",
)


def run_record(cfg: Config) -> dict[str, Any]:
    """What was run, and `machine_record`. Plain JSON types."""
    return {
        "config": str(cfg.filename),
        "config_sha256": config_hash(cfg),
        "seed": (cfg.get("randomness") or {}).get("seed"),
        **machine_record(),
    }


def machine_record() -> dict[str, Any]:
    """Command, time, commit, machine and versions. The commit is that of the folder the command was given in, None outside a
    git repository."""
    import torch

    return {
        "command": shlex.join([Path(sys.executable).name, _from_here(sys.argv[0]), *sys.argv[1:]]),
        "time_utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "git_commit": git_commit(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else f"cpu, {torch.get_num_threads()} threads",
        "versions": {name: _version(name) for name in PACKAGES},
    }


def _from_here(program: str) -> str:
    """A path below the current folder is shown from there: where that folder lies is nobody's concern."""
    path, here = Path(program), Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else program


def append_record(path: Path, cfg: Config) -> None:
    """Adds a record to the list in `path`: one for each time that the run was started or resumed."""
    earlier = json.loads(path.read_text()) if path.is_file() else []
    write_text(path, json.dumps([*earlier, run_record(cfg)], indent=2) + "\n")


def git_commit() -> str | None:
    """Commit of the current folder's repository, with "+changes" where files differ from it."""
    try:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
        dirty = subprocess.run(["git", "status", "--porcelain"], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{commit}+changes" if dirty else commit


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
