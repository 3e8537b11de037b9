"""mmengine's Runner, built from a checked config with every part made before its folder is touched."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.runner import Runner, set_random_seed
from torch import nn

from linearsr.core.data.datasets import check_files
from linearsr.core.errors import ConfigError
from linearsr.core.registries import DATASETS, FUNCTIONS, METRICS, MODELS

PHASES = {
    "train": ("train_dataloader", "train_cfg", "optim_wrapper", "param_scheduler"),
    "val": ("val_dataloader", "val_cfg", "val_evaluator"),
    "test": ("test_dataloader", "test_cfg", "test_evaluator"),
}
FRACTIONS = ("begin", "end", "T_max")


@dataclass(frozen=True)
class Parts:
    """model; datasets by the name of their dataloader; metrics by the name of their evaluator."""

    model: nn.Module
    datasets: dict[str, Any]
    metrics: dict[str, list[Any]]


def build_parts(cfg: Config, *phases: str) -> Parts:
    """What can be wrong with parts, folders and files is said here, before a run folder exists.

    phases: "train", "val", "test"; one without a dataloader in the config is passed over.
    The model's initial weights are drawn from `randomness.seed`.
    """
    set_random_seed(**cfg.get("randomness", {"seed": None}))
    datasets: dict[str, Any] = {}
    metrics: dict[str, list[Any]] = {}
    for phase in phases:
        loader, evaluator = cfg.get(f"{phase}_dataloader"), cfg.get(f"{phase}_evaluator")
        if loader is not None:
            if "dataset" not in loader:
                raise ConfigError(f"{phase}_dataloader has no dataset; add dataset=dict(type=…)")
            datasets[f"{phase}_dataloader"] = DATASETS.build(loader["dataset"])
            if phase != "train":
                check_files(datasets[f"{phase}_dataloader"])
        if evaluator is not None:
            described = [evaluator] if isinstance(evaluator, Mapping) else evaluator
            metrics[f"{phase}_evaluator"] = [METRICS.build(metric) for metric in described]
    return Parts(MODELS.build(cfg.model), datasets, metrics)


class LinearSRRunner(Runner):
    """mmengine's Runner with a quiet console: its log goes to the file, warnings and our progress to the console."""

    def build_logger(self, log_level: int | str = "INFO", log_file: str | None = None, **options: Any) -> MMLogger:
        logger = super().build_logger(log_level, log_file, **options)
        for handler in logger.handlers:
            if not isinstance(handler, logging.FileHandler):
                handler.setLevel(logging.WARNING)
                handler.addFilter(_is_news)
        return logger


def _is_news(record: logging.LogRecord) -> bool:
    """False for what mmengine 0.10.7 says of its own deprecated classes on every run."""
    return not record.getMessage().startswith(('"FileClient" will be deprecated', '"HardDiskBackend" is the alias'))


def build_runner(cfg: Config, work_dir: Path, parts: Parts, *, resume_from: Path | None = None) -> Runner:
    """cfg: checked. Phases that `parts` was not built for are left to the saved config, which is whole.

    Each runner has a name of its own: mmengine keys its singletons by it, and two runners of one second would share
    their best scores and logs.
    """
    settings = copy.deepcopy(cfg)
    settings.work_dir = str(work_dir)
    absent = {key for phase, keys in PHASES.items() if f"{phase}_dataloader" not in parts.datasets for key in keys}
    given = {key: copy.deepcopy(value) for key, value in settings.items() if key not in {"model_wrapper_cfg", *absent}}
    for name, dataset in parts.datasets.items():
        given[name] |= {"dataset": dataset, "collate_fn": _collate(given[name].get("collate_fn"))}
    if given.get("param_scheduler") is not None:
        given["param_scheduler"] = resolve_fractions(given["param_scheduler"], given["train_cfg"]["max_iters"])
    # weights to start from are in the model already; mmengine's own search for a checkpoint follows an absolute path
    given |= {"load_from": resume_from and str(resume_from), "resume": resume_from is not None}
    given |= parts.metrics
    given["model"] = parts.model
    given["experiment_name"] = f"{given.get('experiment_name') or Path(cfg.filename).stem}_{uuid4().hex[:8]}"
    return LinearSRRunner(**given, cfg=settings)


def _collate(cfg: Mapping[str, Any] | None) -> Any:
    """mmengine asks its root registry for the function by name, which knows neither ours nor a plugin's."""
    options = dict(cfg or {"type": "collate_pictures"})
    return partial(FUNCTIONS.require(options.pop("type")), **options)


def resolve_fractions(schedulers: Any, max_iters: int) -> list[dict[str, Any]]:
    """begin, end and T_max written as floats in 0..1 become iterations; whole numbers are iterations already."""
    resolved = []
    for scheduler in [schedulers] if isinstance(schedulers, Mapping) else schedulers:
        entry = dict(scheduler)
        for key in FRACTIONS:
            value = entry.get(key)
            if isinstance(value, float):
                if not 0 <= value <= 1:
                    raise ConfigError(
                        f"param_scheduler.{key} is {value}; wanted a fraction of max_iters in 0..1, or a whole number"
                    )
                entry[key] = round(value * max_iters)
        resolved.append(entry)
    return resolved
