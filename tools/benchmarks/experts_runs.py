"""One, two and four experts: from one dense model a seed, each trained on for as long."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

from training_pool import Budget, Result, Training, noted, submit, without_validation

from linearsr.core.config import load_config
from linearsr.core.engine.logging import read_log
from linearsr.core.errors import ConfigError
from linearsr.core.registries import MODELS
from linearsr.core.stages import stages_of

FIRST, DENSE_TIMES = "first stage", "_dense_times"
MEASURES = ("psnr_y", "niqe")
Row = dict[str, Any]


@dataclass(frozen=True)
class Arm:
    """name: of its rows and folder; config: a curriculum; options: on top of it."""

    name: str
    config: Path
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """arms: begin with the same stage, which is trained once for each seed."""

    arms: tuple[Arm, ...]
    budget: Budget
    work_dir: Path

    def first_stage(self, seed: int) -> Training:
        config = self.arms[0].config
        options = (*without_validation(self.budget.steps, seed), f"stages=[{_stages(config)[0]!r}]")
        return Training(config, options, self._folder("first_stage", seed))

    def whole(self, arm: Arm, seed: int) -> Training:
        begun = self.first_stage(seed).folder / _stages(arm.config)[0]["name"]
        options = (*without_validation(self.budget.steps, seed), *arm.options)
        return Training(arm.config, options, self._folder(arm.name, seed), begun)

    def _folder(self, name: str, seed: int) -> Path:
        return self.work_dir / name / f"steps_{self.budget.steps}_seed_{seed}"


def arms_of(configs: Sequence[Path]) -> tuple[Arm, ...]:
    """The configs as they are; then each that sets shares of its experts again without, so that its last stage sees the times
    that a dense model sees. Raises ConfigError for a config without stages."""
    plain = [Arm(config.stem, config) for config in configs]
    shared = [config for config in configs if _shares_of(_stages(config)[-1]) is not None]
    return (*plain, *(Arm(f"{config.stem}{DENSE_TIMES}", config, (_no_shares(config),)) for config in shared))


def run_all(plan: Plan, jobs: int) -> dict[str, Any]:
    """Plain data: a row for each run that finished, the reason for each that did not.

    The dense models after the first stage are rows too. Seconds are those of all stages.
    """
    rows: list[Row] = []
    failed: dict[str, str] = {}
    trainings = {(FIRST, seed): plan.first_stage(seed) for seed in plan.budget.seeds}
    with ThreadPoolExecutor(jobs) as pool:
        first = {seed: submit(pool, training) for (_, seed), training in trainings.items()}
        runs = {(FIRST, seed): run for seed, run in first.items()}
        for seed in first:  # after all first stages, so that none waits for one that cannot begin
            for arm in plan.arms:
                trainings[arm.name, seed] = plan.whole(arm, seed)
                runs[arm.name, seed] = submit(pool, trainings[arm.name, seed], first[seed])
        for (name, seed), run in runs.items():
            with noted(f"{name}, seed {seed}", failed):
                seconds = {"cpu_seconds": sum(one.result()["cpu_seconds"] for one in {run, first[seed]})}
                rows.append({"name": name, "seed": seed} | seconds | _row(trainings[name, seed], run.result()))
    return {**asdict(plan.budget), "arms": [arm.name for arm in plan.arms], "rows": rows, "failed": failed}


@cache
def _stages(config: Path) -> list[dict[str, Any]]:
    stages = load_config(config).to_dict().get("stages")
    if not stages:
        raise ConfigError(f"{config} has no stages; wanted a curriculum, such as configs/ablations/experts_1.py")
    return stages


def _shares_of(stage: dict[str, Any]) -> Any:
    return stage.get("override", {}).get("model", {}).get("expert_shares")


def _no_shares(config: Path) -> str:
    return f"stages.{len(_stages(config)) - 1}.override.model.expert_shares=None"


def _row(training: Training, result: Result) -> Row:
    """Of the last stage: parameters, each expert's share of its samples, and figures by data set and number of steps."""
    last = stages_of(load_config(training.config, training.options))[-1]
    return {
        "parameters": sum(parameter.numel() for parameter in MODELS.build(last.cfg.model).parameters()),
        "shares": list(_shares(training.folder / last.name / "log.jsonl")),
        "figures": [{key: row[key] for key in ("dataset", "method", "num_steps", *MEASURES)} for row in result["rows"]],
    }


def _shares(log: Path) -> Iterator[float]:
    """Of the training samples, by expert, as they were logged; none without experts."""
    lines = read_log(log, "train")
    for expert in count():
        logged = [line[f"expert_{expert}/share"] for line in lines if f"expert_{expert}/share" in line]
        if not logged:
            return
        yield sum(logged) / len(logged)
