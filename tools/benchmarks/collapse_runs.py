"""The long run, the checkpoints taken from it, and the fine-tunings from each: each training in a process of its own."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

from collapse_looks import Looks
from collapse_plan import LONG_DECAY, METRICS, Plan
from train_collapse import RESULT
from training_process import TrainingFailedError, hash_of, trained

from linearsr.core.config import load_config
from linearsr.core.engine import read_log
from linearsr.core.errors import ConfigError
from linearsr.core.registries import MODELS
from linearsr.core.weights import read_state_dict, write_safetensors
from linearsr.schedules import KneeDetector
from linearsr.schedules.knee_point.log import Evaluation, read_evaluations
from linearsr.schedules.knee_point.report import replay

WORKER = Path(__file__).with_name("train_collapse.py")
LOG = "log.jsonl"
POINTS = 12
"""Of the long run's curves of norms and sums, besides the starts."""


def run_all(config: Path, plan: Plan, work_dir: Path) -> dict[str, Any]:
    """Plain data: the long run's curves and knee, what is in its checkpoints, and a row for each fine-tuning.

    A fine-tuning whose process failed is in "failed" with its reason. Raises ConfigError for a long run without a knee, and
    TrainingFailedError for one that did not finish.
    """
    folder = work_dir / "long" / "plain"
    seconds = _lasting(config, folder, plan.long_options())
    evaluations = read_evaluations(folder / LOG, list(METRICS))
    knee = replay(config.name, evaluations, KneeDetector(METRICS))
    if knee.state.knee_step is None:
        raise ConfigError(f"{len(evaluations)} evaluations show no knee; give --steps and --every so that there are more")
    steps = start_steps(evaluations, int(knee.state.knee_step))
    looks = Looks(load_config(config, plan.long_options()), folder)
    rows, failed = _tunings(config, plan, work_dir, steps, looks)
    return {
        "config": config.name,
        **asdict(plan),
        "long_cpu_seconds": seconds,
        "knee": knee.to_dict(),
        "start_steps": steps,
        "evaluations": _plain(evaluations),
        "losses": _losses(folder / LOG, plan.every),
        "looks": [looks.at(step) for step in sorted({*steps.values(), *_some(evaluations)})],
        "decayed": _decayed(config, plan, work_dir / "long" / "decayed", _some(evaluations)),
        "rows": rows,
        "failed": failed,
    }


def _lasting(config: Path, folder: Path, options: Sequence[str]) -> float:
    """CPU seconds of a long run."""
    result = trained(WORKER, RESULT, config, folder, options, hash_of(config, options))
    if result["first_non_finite"] is not None:
        raise TrainingFailedError(f"the run in {folder} did not last: {result['cause']}")
    return float(result["cpu_seconds"])


def _decayed(config: Path, plan: Plan, folder: Path, steps: Sequence[int]) -> dict[str, Any]:
    """What the second long run has at those of the first one's `steps` that it reaches."""
    seconds = _lasting(config, folder, plan.decayed_options())
    looks = Looks(load_config(config, plan.decayed_options()), folder)
    return {
        "decay": LONG_DECAY,
        "long_cpu_seconds": seconds,
        "evaluations": _plain(read_evaluations(folder / LOG, list(METRICS))),
        "looks": [looks.at(step) for step in sorted(steps) if step <= plan.decay_steps],
    }


def _plain(evaluations: Sequence[Evaluation]) -> list[dict[str, float]]:
    return [{"step": one.step, **one.metrics} for one in evaluations]


def start_steps(evaluations: Sequence[Evaluation], knee: int) -> dict[str, int]:
    """Start -> its step: an evaluation's, for there is a checkpoint."""
    first = next(iter(METRICS))
    best = max(evaluations, key=lambda one: METRICS[first] * one.metrics[first])
    late = evaluations[-1].step
    early, middle = (min(evaluations, key=lambda one: abs(one.step - step)) for step in (knee / 2, (knee + late) / 2))
    chosen = {"early": early.step, "knee": knee, "middle": middle.step, "best": best.step, "late": late}
    return {start: int(step) for start, step in chosen.items()}


def start_file(config: Path, options: Sequence[str], checkpoint: Path, folder: Path) -> Path:
    """The weights of `checkpoint` that were validated, for the model of a fine-tuning with these options.

    What that model has and the checkpoint lacks, a norm of queries and keys, is as the model begins with: at one.
    """
    fresh = MODELS.build(load_config(config, options).model).state_dict()
    weights = read_state_dict(checkpoint)
    kind = "_and_new_parts" if fresh.keys() - weights.keys() else ""
    return write_safetensors(folder / f"{checkpoint.stem}{kind}.safetensors", fresh | weights)


def _some(evaluations: Sequence[Evaluation]) -> list[int]:
    """Steps of about POINTS of them, evenly, the last among them."""
    return [int(one.step) for one in evaluations[:: -max(1, len(evaluations) // POINTS)]]


def _losses(log: Path, every: int) -> list[dict[str, float]]:
    """Training losses, means over the log processor's window."""
    return [{"step": line["step"], "loss": line["loss"]} for line in read_log(log, "train") if line["step"] % every == 0]


def _validated(log: Path) -> dict[str, float]:
    """METRICS of the last evaluation."""
    line = read_log(log, "val")[-1]
    return {name: line[name] for name in METRICS}


def _tunings(
    config: Path, plan: Plan, work_dir: Path, steps: dict[str, int], looks: Looks
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    rows: list[dict[str, Any]] = []
    failed: dict[str, str] = {}
    for (condition, start), seed in product(plan.pairs(steps), plan.seeds):
        checkpoint = looks.folder / f"iter_{steps[start]}.pth"
        file = start_file(config, plan.model_options(condition), checkpoint, work_dir / "starts")
        options = plan.tuning_options(condition, file, seed)
        folder = work_dir / "tunings" / "_".join(condition.replace("/", "by").replace(",", "").split()) / f"{start}_{seed}"
        row = {"condition": condition, "start": start, "seed": seed}
        try:
            row |= trained(WORKER, RESULT, config, folder, options, hash_of(config, options))
        except TrainingFailedError as error:
            failed[f"{condition}, {start}, seed {seed}"] = str(error)
            print(f"{condition}, {start}, seed {seed} failed: {error}", file=sys.stderr)
            continue
        row |= {"before": looks.metrics_of(file, options), "last": looks.last_of(folder, options)}
        row["after"] = _validated(folder / LOG) if row["first_non_finite"] is None else None
        rows.append(row)
        print(f"{condition}, {start}, seed {seed}: {row['first_non_finite'] or row['after']}", file=sys.stderr)
    return rows, failed
