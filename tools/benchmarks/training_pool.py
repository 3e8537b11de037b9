"""Trainings for a benchmark, side by side: each in a process and a folder of its own; one that is finished is not run again."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from train_variant import RESULT

from linearsr.core.config import config_hash, load_config

Result = dict[str, Any]

WORKER = Path(__file__).with_name("train_variant.py")

WORDS = 30
"""Of a process that failed, shown as the reason: its last line at least."""


@dataclass(frozen=True)
class Training:
    """config: what is trained; options: on top of it; folder: of the run.

    stage: folder of a finished stage that the run begins with instead of training it, or None
    """

    config: Path
    options: tuple[str, ...]
    folder: Path
    stage: Path | None = None


class TrainingFailedError(Exception):
    """The process's return code and the last of what it said."""


def without_validation(steps: int, seed: int) -> list[str]:
    """Options for so many iterations (of each stage), with one checkpoint at the end; a training's time is then its own."""
    lengths = [f"{key}={steps}" for key in ("train_cfg.max_iters", "default_hooks.checkpoint.interval")]
    return [*lengths, *(f"val_{part}=None" for part in ("dataloader", "cfg", "evaluator")), f"randomness.seed={seed}"]


def submit(pool: Executor, training: Training, after: Future[Result] | None = None) -> Future[Result]:
    """The result: config_sha256, cpu_seconds of training and the rows of metrics.json; that of an earlier time if the config
    was the same. The config is read in the caller's thread, as mmengine does not read several at a time.

    after: what must be finished before; the training fails as it does. Else the future raises TrainingFailedError.
    """
    return pool.submit(_trained, training, config_hash(load_config(training.config, training.options)), after)


def _trained(training: Training, config_sha256: str, after: Future[Result] | None) -> Result:
    if after is not None:
        after.result()
    file = training.folder / RESULT
    if not file.is_file() or json.loads(file.read_text())["config_sha256"] != config_sha256:
        shutil.rmtree(training.folder, ignore_errors=True)  # half a training, or one of another config
        _run(training)
    result = json.loads(file.read_text())
    print(f"{training.folder}: {result['cpu_seconds']:.0f} s", file=sys.stderr)
    return result


def _run(training: Training) -> None:
    begin = [] if training.stage is None else ["--stage", str(training.stage)]
    words = [sys.executable, str(WORKER), *begin, str(training.config), str(training.folder), *training.options]
    log = training.folder.with_suffix(".log")
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "w") as lines:
        code = subprocess.run(words, stdout=lines, stderr=subprocess.STDOUT, check=False).returncode
    if code:
        said = log.read_text(errors="replace").split()[-WORDS:]
        raise TrainingFailedError(f"left with {code}: {' '.join(said)}; all it said is in {log}")


@contextmanager
def noted(name: str, failed: dict[str, str]) -> Iterator[None]:
    """Whatever is wrong with one training, the others are to be run."""
    try:
        yield
    except Exception as error:
        failed[name] = f"{type(error).__name__}: {error}"
        print(f"{name} failed: {error}", file=sys.stderr)
