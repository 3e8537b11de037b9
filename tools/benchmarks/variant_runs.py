"""Trains and tests variants, each in a process and a folder of its own, and measures their cost."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from train_variant import RESULT
from training_pool import Result, Training, noted, submit, without_validation
from variant_costs import costs

from linearsr.core.atomic import write_text
from linearsr.core.config import load_config
from linearsr.core.errors import ConfigError
from linearsr.core.registries import ATTENTION, MODELS


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

    def training(self, variant: Variant, work_dir: Path) -> Training:
        """Tested at one step, the picture of least error. A folder for each length and seed, so that a short trial does not
        replace a long run."""
        options = (*variant.options, *without_validation(self.steps, self.seed), "test_cfg.num_steps=[1]")
        folder = work_dir / variant.name / f"steps_{self.steps}_seed_{self.seed}"
        return Training(variant.config, options, folder)


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
    begun: dict[Variant, Future[Result]] = {}
    with ThreadPoolExecutor(jobs) as pool:
        for variant in chosen:
            with noted(variant.name, failed):
                begun[variant] = submit(pool, budget.training(variant, work_dir))
    for variant, run in begun.items():
        with noted(variant.name, failed):
            row = _with_costs(run.result(), budget.training(variant, work_dir), budget)
            rows.append({"name": variant.name} | _psnr(row.pop("rows")) | row)
    return {**asdict(budget), "config": chosen[0].config.name, "rows": rows, "failed": failed}


def _psnr(measured: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """By data set: psnr_y of the model, and bicubic's."""
    by = {"psnr_y": "model", "bicubic": "bicubic"}
    return {key: {row["dataset"]: row["psnr_y"] for row in measured if row["method"] == method} for key, method in by.items()}


def _with_costs(result: Result, training: Training, budget: Budget) -> Result:
    """The same with parameters and costs, which are kept too."""
    if result.get("sides") == list(budget.sides):
        return result
    cfg = load_config(training.config, training.options)
    model = MODELS.build(cfg.model).eval()
    parameters = sum(parameter.numel() for parameter in model.parameters())
    grown = costs([block.attention for block in model.denoiser.blocks], cfg.model.denoiser.width, budget.sides)
    result = result | {"parameters": parameters, "sides": list(budget.sides)} | grown
    write_text(training.folder / RESULT, json.dumps(result, indent=1) + "\n")
    return result
