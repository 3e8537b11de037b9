"""Trains and tests variants, each in a process and a folder of its own, and measures their cost."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config
from train_variant import RESULT
from variant_costs import costs

from linearsr.core.atomic import write_text
from linearsr.core.config import config_hash, load_config
from linearsr.core.errors import ConfigError
from linearsr.core.registries import ATTENTION, MODELS

WORKER = Path(__file__).with_name("train_variant.py")

WORDS = 30
"""Of a process that failed, shown as the reason: its last line at least."""


@dataclass(frozen=True)
class Variant:
    """name: of its row and folder; config: what is trained; options: on top of it."""

    name: str
    config: Path
    options: tuple[str, ...]


@dataclass(frozen=True)
class Budget:
    """steps: iterations of training; seed: of weights and data; sides: of the squares of tokens whose cost is measured."""

    steps: int
    seed: int
    sides: tuple[int, ...]

    def options(self, variant: Variant) -> list[str]:
        """No validation, so that a training's time is its own; the test at one step, the picture of least error."""
        lengths = [f"{key}={self.steps}" for key in ("train_cfg.max_iters", "default_hooks.checkpoint.interval")]
        without = [f"val_{part}=None" for part in ("dataloader", "cfg", "evaluator")]
        return [*variant.options, *lengths, *without, f"randomness.seed={self.seed}", "test_cfg.num_steps=[1]"]

    def folder(self, variant: Variant, work_dir: Path) -> Path:
        """One for each length and seed, so that a short trial does not replace a long run."""
        return work_dir / variant.name / f"steps_{self.steps}_seed_{self.seed}"


class TrainingFailedError(Exception):
    """The process's return code and the last of what it said."""


def variants(config: Path, only: Sequence[str] | None, mixtures: Path) -> list[Variant]:
    """Every attention that this package registers in `config`, then the configs attention_*.py in the folder `mixtures`.

    only: names or paths of configs; a plugin's name is one, too. Raises UnknownComponentError or ConfigError.
    """
    wanted = only or [*ATTENTION.own(), *(str(path) for path in sorted(mixtures.glob("attention_*.py")))]
    return [_variant(config, name) for name in wanted]


def _variant(config: Path, name: str) -> Variant:
    if name.endswith(".py"):
        if not Path(name).is_file():
            raise ConfigError(f"there is no config {name}; wanted an attention's name, or the path of a config")
        return Variant(Path(name).stem, Path(name), ())
    ATTENTION.require(name)
    return Variant(name, config, (f"model.denoiser.attention.type={name}",))


def run_all(chosen: Sequence[Variant], budget: Budget, work_dir: Path, jobs: int) -> dict[str, Any]:
    """Plain data: a row for each that finished, the reason for each that did not.

    Costs are measured when nothing is trained any more, one variant after the other.
    """
    rows: list[dict[str, Any]] = []
    failed: dict[str, str] = {}
    trainings: dict[Variant, tuple[Config, Future[dict[str, Any]]]] = {}
    with ThreadPoolExecutor(jobs) as pool:
        for variant in chosen:
            with _noted(variant, failed):
                cfg = load_config(variant.config, budget.options(variant))
                folder = budget.folder(variant, work_dir)
                trainings[variant] = cfg, pool.submit(_trained, variant, budget, folder, config_hash(cfg))
    for variant, (cfg, training) in trainings.items():
        with _noted(variant, failed):
            rows.append(_with_costs(training.result(), cfg, budget, budget.folder(variant, work_dir)))
    return {**asdict(budget), "config": chosen[0].config.name, "rows": rows, "failed": failed}


@contextmanager
def _noted(variant: Variant, failed: dict[str, str]) -> Iterator[None]:
    """Whatever is wrong with one variant, the others are to be run."""
    try:
        yield
    except Exception as error:
        failed[variant.name] = f"{type(error).__name__}: {error}"
        print(f"{variant.name} failed: {error}", file=sys.stderr)


def _trained(variant: Variant, budget: Budget, folder: Path, config_sha256: str) -> dict[str, Any]:
    """Its figures after training; those of an earlier time if the config was the same. Raises TrainingFailedError."""
    result = folder / RESULT
    if not result.is_file() or json.loads(result.read_text())["config_sha256"] != config_sha256:
        shutil.rmtree(folder, ignore_errors=True)  # half a training, or one of another config
        words = [sys.executable, str(WORKER), str(variant.config), str(folder), *budget.options(variant)]
        log = folder.with_suffix(".log")
        log.parent.mkdir(parents=True, exist_ok=True)
        with open(log, "w") as lines:
            code = subprocess.run(words, stdout=lines, stderr=subprocess.STDOUT, check=False).returncode
        if code:
            said = log.read_text(errors="replace").split()[-WORDS:]
            raise TrainingFailedError(f"left with {code}: {' '.join(said)}; all it said is in {log}")
    row = {"name": variant.name, **json.loads(result.read_text())}
    print(f"{variant.name}: {row['psnr_y']}, {row['cpu_seconds']:.0f} s", file=sys.stderr)
    return row


def _with_costs(row: dict[str, Any], cfg: Config, budget: Budget, folder: Path) -> dict[str, Any]:
    """The same with parameters and costs, which are kept too."""
    if row.get("sides") == list(budget.sides):
        return row
    model = MODELS.build(cfg.model).eval()
    parameters = sum(parameter.numel() for parameter in model.parameters())
    grown = costs([block.attention for block in model.denoiser.blocks], cfg.model.denoiser.width, budget.sides)
    row = row | {"parameters": parameters, "sides": list(budget.sides)} | grown
    write_text(folder / RESULT, json.dumps(row, indent=1) + "\n")
    return row
