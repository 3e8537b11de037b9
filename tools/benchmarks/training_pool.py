"""Trainings for a benchmark, side by side."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from train_variant import RESULT
from training_process import hash_of, trained

Result = dict[str, Any]

WORKER = Path(__file__).with_name("train_variant.py")


@dataclass(frozen=True)
class Training:
    """config: what is trained; options: on top of it; folder: of the run.

    stage: folder of a finished stage that the run begins with instead of training it, or None
    """

    config: Path
    options: tuple[str, ...]
    folder: Path
    stage: Path | None = None


@dataclass(frozen=True)
class Budget:
    """steps: iterations of a training, or of each of its stages; seeds: of weights and data, a run each."""

    steps: int
    seeds: tuple[int, ...]


def without_validation(steps: int, seed: int) -> list[str]:
    """Options for so many iterations (of each stage), with one checkpoint at the end; a training's time is then its own."""
    lengths = [f"{key}={steps}" for key in ("train_cfg.max_iters", "default_hooks.checkpoint.interval")]
    return [*lengths, *(f"val_{part}=None" for part in ("dataloader", "cfg", "evaluator")), f"randomness.seed={seed}"]


def submit(pool: Executor, training: Training, after: Future[Result] | None = None) -> Future[Result]:
    """The result: config_sha256, cpu_seconds of training and the rows of metrics.json; that of an earlier time if the config
    was the same. The config is read in the caller's thread, as mmengine does not read several at a time.

    after: what must be finished before; the training fails as it does. Else the future raises TrainingFailedError.
    """
    return pool.submit(_trained, training, hash_of(training.config, training.options), after)


def _trained(training: Training, config_sha256: str, after: Future[Result] | None) -> Result:
    if after is not None:
        after.result()
    begin = [] if training.stage is None else ["--stage", str(training.stage)]
    result = trained(WORKER, RESULT, training.config, training.folder, training.options, config_sha256, begin)
    print(f"{training.folder}: {result['cpu_seconds']:.0f} s", file=sys.stderr)
    return result


@contextmanager
def noted(name: str, failed: dict[str, str]) -> Iterator[None]:
    """Whatever is wrong with one training, the others are to be run."""
    try:
        yield
    except Exception as error:
        failed[name] = f"{type(error).__name__}: {error}"
        print(f"{name} failed: {error}", file=sys.stderr)
