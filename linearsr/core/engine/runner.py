"""mmengine's Runner, built from a checked config with every part made before its folder is touched."""

from __future__ import annotations

import copy
import logging
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import broadcast_object_list, is_distributed, is_main_process
from mmengine.logging import MMLogger
from mmengine.runner import Runner, set_random_seed
from torch import nn

from linearsr.core.data.file_checks import check_files
from linearsr.core.data.token_agreement import check_described
from linearsr.core.data.worker_death import worker_deaths_explained
from linearsr.core.engine.checkpoints import checkpoint_name, collect, group_settings, note_newest, restore, write_checkpoint
from linearsr.core.engine.distributed import claim_folder, gather_in_memory, load_whole_states, wrap
from linearsr.core.engine.hooks import (
    CheckpointHook,
    DivergenceHook,
    GracefulStopHook,
    KneeHook,
    LostSamplesHook,
    ProgressHook,
    RollBackToKnee,
    lost_limit,
)
from linearsr.core.engine.schedules import resolve_fractions
from linearsr.core.engine.train_loop import TrainLoop
from linearsr.core.engine.workers import worker_settings
from linearsr.core.errors import CheckpointError, ConfigError, LinearSRError
from linearsr.core.registries import DATASETS, FUNCTIONS, METRICS, MODELS
from linearsr.core.runner_keys import DEFAULT_TYPES, MMENGINE_HOOKS, PHASES

ENGINE_HOOKS = {
    "checkpoint": {"type": "CheckpointHook"},
    "divergence": {"type": "DivergenceHook"},
    "graceful_stop": {"type": "GracefulStopHook"},
    "lost_samples": {"type": "LostSamplesHook"},
}
"""In every run, whatever its custom_hooks are: what saves it, keeps NaN out of it and lets it be stopped."""

ENGINE_KINDS: dict[str, type] = {
    "checkpoint": CheckpointHook,
    "divergence": DivergenceHook,
    "graceful_stop": GracefulStopHook,
    "lost_samples": LostSamplesHook,
}


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
    set_random_seed(**(cfg.get("randomness") or {"seed": 0}))  # without a seed mmengine would ask the other ranks
    datasets, metrics = build_data(cfg, *phases)
    return Parts(MODELS.build(cfg.model), datasets, metrics)


def build_data(cfg: Config, *phases: str) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """(datasets, metrics), as `Parts` has them; their folders and files have been looked at."""
    datasets: dict[str, Any] = {}
    metrics: dict[str, list[Any]] = {}
    for phase in phases:
        loader, evaluator = cfg.get(f"{phase}_dataloader"), cfg.get(f"{phase}_evaluator")
        if loader is not None:
            if "dataset" not in loader:
                raise ConfigError(f"{phase}_dataloader has no dataset; add dataset=dict(type=…)")
            datasets[f"{phase}_dataloader"] = DATASETS.build(loader["dataset"])
            guidance = (cfg.get("model") or {}).get("guidance")
            check_described(datasets[f"{phase}_dataloader"], guidance, f"{phase}_dataloader")
            limit = lost_limit(cfg.get("default_hooks"))
            check_files(datasets[f"{phase}_dataloader"], training=phase == "train", limit=limit)
        if evaluator is not None:
            described = [evaluator] if isinstance(evaluator, Mapping) else evaluator
            metrics[f"{phase}_evaluator"] = gather_in_memory([METRICS.build(metric) for metric in described])
    return datasets, metrics


class LinearSRRunner(Runner):
    """mmengine's Runner with a quiet console: its log goes to the file, warnings and our progress to the console."""

    def build_logger(self, log_level: int | str = "INFO", log_file: str | None = None, **options: Any) -> MMLogger:
        logger = super().build_logger(log_level, log_file, **options)
        for handler in logger.handlers:
            if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler):
                handler.setLevel(max(handler.level, logging.WARNING))  # of the first rank; others' say errors alone
                handler.addFilter(_is_news)
                handler.setStream(sys.stderr)
        return logger

    def wrap_model(self, model_wrapper_cfg: Mapping[str, Any] | None, model: nn.Module) -> nn.Module:
        """As mmengine's for one process; of several, each gets what `model_wrapper_cfg` describes, on CPU and CUDA."""
        return wrap(model.to(get_device()), model_wrapper_cfg) if self.distributed else super().wrap_model(None, model)

    def _init_model_weights(self) -> None:
        """Nothing: weights were drawn, or loaded, when the model was built, and may lie in pieces on the ranks by now."""

    def build_optim_wrapper(self, optim_wrapper: Any) -> Any:
        made = super().build_optim_wrapper(optim_wrapper)
        if made is not optim_wrapper:
            load_whole_states(made.optimizer)
        return made

    def train(self) -> nn.Module:
        """As mmengine's. A data worker's death is a DataError. Signals are their owners' again and logs closed afterwards."""
        try:
            with worker_deaths_explained():
                return super().train()
        finally:
            for hook in self.hooks:
                if isinstance(hook, GracefulStopHook | ProgressHook):
                    hook.tidy_up()
            self.visualizer.close()

    def test(self) -> dict:
        """As mmengine's. A data worker's death is a DataError."""
        with worker_deaths_explained():
            return super().test()

    def scale_lr(self, optim_wrapper: Any, auto_scale_lr: dict | None = None) -> None:
        """The last moment before schedules touch the optimiser: what `restore` begins from is noted here."""
        super().scale_lr(optim_wrapper, auto_scale_lr)
        self.unscheduled_settings = group_settings(optim_wrapper)
        self.schedule_settings = copy.deepcopy(self.param_schedulers)

    def load_or_resume(self) -> None:
        """Weights to start from are in the model already; `load_from` is the checkpoint to go on from."""
        if self._load_from is not None:
            restore(self, Path(self._load_from))

    def save(self, name: str, iteration: int, *, optimizer: bool) -> Path:
        """Writes `<work_dir>/<name>` as it is after `iteration`; every rank must call it; none goes on before it is there.

        optimizer: with all that a resumed run needs. An iter_*.pth is noted as the newest then.
        Raises CheckpointError on every rank if it cannot be written.
        """
        path = Path(self.work_dir) / name
        content, failure = collect(self, name, iteration, optimizer=optimizer), [""]
        if is_main_process():
            if not optimizer:  # the weights that were validated, averaged where they are, are all that is wanted of it
                content.pop("ema_state_dict", None)
            try:
                write_checkpoint(path, content)
                if optimizer and name == checkpoint_name(iteration):
                    note_newest(path)
            except CheckpointError as error:
                failure = [str(error)]
        broadcast_object_list(failure)
        if failure[0]:
            raise CheckpointError(failure[0])
        return path

    def dump_config(self) -> None:
        """Only a training run writes its config: a test in the same folder must not replace what the run was made with."""
        if self._train_loop is not None:
            super().dump_config()


def _is_news(record: logging.LogRecord) -> bool:
    """False for what mmengine 0.10.7 says of its own deprecated classes on every run."""
    return not record.getMessage().startswith(('"FileClient" will be deprecated', '"HardDiskBackend" is the alias'))


def build_runner(cfg: Config, work_dir: Path, parts: Parts, *, resume_from: Path | None = None) -> Runner:
    """cfg: checked. Phases that `parts` was not built for are left to the saved config, which is whole.
    On an error a folder that this call made is removed again.

    Each runner has a name of its own: mmengine keys its singletons by it, and two runners of one second would share
    their best scores and logs.
    """
    settings = copy.deepcopy(cfg)
    settings.work_dir = str(work_dir)
    left_out = {key for keys in PHASES.values() if keys[0] not in parts.datasets for key in keys} | {"model_wrapper_cfg"}
    given = {key: copy.deepcopy(value) for key, value in settings.items() if key not in left_out}
    for name, dataset in parts.datasets.items():
        given[name] |= {"dataset": dataset, "collate_fn": _collate(given[name].get("collate_fn"))}
        given[name] |= worker_settings(given[name], int((settings.get("randomness") or {}).get("seed") or 0))
    if "train_dataloader" in parts.datasets:
        given["train_cfg"] = _train_loop(given["train_cfg"])
        given["optim_wrapper"] = {"type": DEFAULT_TYPES["optim_wrapper"], **given["optim_wrapper"]}
    schedulers = given.pop("param_scheduler", None)
    if "train_dataloader" in parts.datasets and schedulers is not None:
        given["param_scheduler"] = resolve_fractions(schedulers, given["train_cfg"]["max_iters"])
    # weights to start from are in the model already; mmengine's own search for a checkpoint follows an absolute path
    given |= {"load_from": resume_from and str(resume_from), "resume": resume_from is not None}
    given |= parts.metrics
    given["default_hooks"] = _with_engine_hooks(given.get("default_hooks") or {})
    given |= {"model": parts.model, "default_scope": "linearsr", "launcher": "pytorch" if is_distributed() else "none"}
    given["experiment_name"] = f"{given.get('experiment_name') or Path(cfg.filename).stem}_{uuid4().hex[:8]}"
    fresh = claim_folder(work_dir)
    try:
        return _made(LinearSRRunner(**given, cfg=settings))
    except Exception as error:
        if fresh and is_main_process():
            shutil.rmtree(work_dir, ignore_errors=True)
        if isinstance(error, TypeError | ValueError | KeyError | AssertionError | AttributeError) and not isinstance(
            error, LinearSRError
        ):
            raise ConfigError(f"{cfg.filename} makes no runner: {type(error).__name__}: {error}") from error
        raise


def _with_engine_hooks(default_hooks: Mapping[str, Any]) -> dict[str, Any]:
    """Settings for one of ENGINE_HOOKS need not repeat its type."""
    removed = [label for label in ENGINE_HOOKS if label in default_hooks and default_hooks[label] is None]
    if removed:
        raise ConfigError(f"default_hooks.{removed[0]} is None; every run has one: leave the key out, or change its settings")
    return {
        label: {**ENGINE_HOOKS.get(label, {}), **hook} if hook else hook
        for label, hook in {**ENGINE_HOOKS, **default_hooks}.items()
        if hook is not None or label in MMENGINE_HOOKS
    }


def _train_loop(train_cfg: Mapping[str, Any]) -> dict[str, Any]:
    """mmengine's configs say by_epoch=False; ours may."""
    described = {"type": DEFAULT_TYPES["train_cfg"], **train_cfg}
    if described.pop("by_epoch", False):
        raise ConfigError("train_cfg.by_epoch is True; runs are counted in iterations: set max_iters and leave by_epoch out")
    return described


def _made(runner: Runner) -> Runner:
    """With the parts that mmengine would build on the way, so that what is wrong with them is said before the start."""
    for loop in ("train_loop", "val_loop", "test_loop"):
        getattr(runner, loop)  # the property builds it
    if runner._train_loop is not None and not isinstance(runner.train_loop, TrainLoop):
        raise ConfigError(f"train_cfg.type is {type(runner.train_loop).__name__}; wanted TrainLoop or a class derived from it")
    for label, kind in ENGINE_KINDS.items():
        if not any(isinstance(hook, kind) for hook in runner.hooks):
            raise ConfigError(f"default_hooks.{label} is no {kind.__name__}; wanted that class or one derived from it")
    if runner.optim_wrapper is not None:
        runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
        for hook in runner.hooks:
            if isinstance(hook, CheckpointHook | KneeHook | RollBackToKnee):
                hook.check(runner)
    return runner


def _collate(cfg: Mapping[str, Any] | None) -> Any:
    """mmengine asks its root registry for the function by name, which knows neither ours nor a plugin's."""
    options = dict(cfg or {"type": "collate_pictures"})
    return partial(FUNCTIONS.require(options.pop("type")), **options)
