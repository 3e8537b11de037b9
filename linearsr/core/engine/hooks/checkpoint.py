"""When a checkpoint is written, and which are kept."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from mmengine.dist import is_main_process
from mmengine.hooks import Hook

from linearsr.core.engine.checkpoints import best_name, checkpoint_name, retire, sweep
from linearsr.core.engine.hooks.metric_names import check_metric_names, require_measured
from linearsr.core.errors import ConfigError
from linearsr.core.registries import HOOKS

SAVE_BEST = "default_hooks.checkpoint.save_best"

Rule = Literal["greater", "less"]

RULES: dict[str, Rule] = {
    "psnr": "greater", "ssim": "greater", "musiq": "greater", "maniqa": "greater", "clipiqa": "greater",
    "niqe": "less", "lpips": "less", "dists": "less", "fid": "less", "loss": "less",
}  # fmt: skip
"""Which way is better, by how a metric's name begins."""


@HOOKS.register_module()
class CheckpointHook(Hook):
    """`iter_<n>.pth` every `interval` iterations and after the last one; `best_<metric>.pth` for each of `save_best`.

    interval:       iterations; a multiple of optim_wrapper.accumulative_counts, whose half-gathered gradients are not saved
    max_keep_ckpts: how many of iter_*.pth stay; −1: all. The oldest goes after the new one is whole
    save_best:      names of validation metrics, such as "psnr_y" or ["psnr_y", "lpips"]. A best file holds weights alone
    rule:           "greater" or "less", for each of save_best or for all; known metrics need none
    Takes the place of mmengine's hook of this name, which deletes before it writes and follows absolute paths.
    """

    priority = "VERY_LOW"

    def __init__(
        self,
        interval: int = 1000,
        max_keep_ckpts: int = 2,
        save_best: str | Sequence[str] = (),
        rule: Rule | Sequence[Rule] | None = None,
    ):
        if interval < 1 or max_keep_ckpts == 0:
            raise ConfigError(
                f"CheckpointHook: interval={interval}, max_keep_ckpts={max_keep_ckpts}; wanted ≥ 1, or −1 to keep all"
            )
        self.interval, self.max_keep_ckpts = interval, max_keep_ckpts
        names = [save_best] if isinstance(save_best, str) else list(save_best)
        rules = [rule] * len(names) if rule is None or isinstance(rule, str) else list(rule)
        if len(rules) != len(names):
            raise ConfigError(
                f"CheckpointHook: {len(rules)} rules for {len(names)} metrics of save_best; wanted one each, or one"
            )
        self.best = {name: _checked(name, rule) for name, rule in zip(names, rules, strict=True)}

    def check(self, runner: Any) -> None:
        """Of a run that is built and has not begun. Raises ConfigError for settings that do not go together."""
        if self.best:
            check_metric_names(runner, self.best, SAVE_BEST)
        require_whole_steps(runner, self.interval, "default_hooks.checkpoint.interval")

    def before_train(self, runner: Any) -> None:
        if is_main_process():
            sweep(Path(runner.work_dir))

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: dict[str, Any] | None = None
    ) -> None:
        done = runner.iter + 1
        if done % self.interval == 0 or done == runner.max_iters:
            self.save(runner, done)

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        if runner._train_loop is None:  # validation on its own
            return
        found = metrics or {}
        require_measured(found, self.best, SAVE_BEST)
        for name, rule in self.best.items():
            score, key = found[name], f"best_{name}"
            if math.isnan(score):
                continue  # nothing would ever be better
            best = runner.message_hub.runtime_info.get(key)
            if best is None or (score > best if rule == "greater" else score < best):
                runner.message_hub.update_info(key, score)
                runner.save(best_name(name), runner.iter, optimizer=False)

    def save(self, runner: Any, iteration: int) -> None:
        """Every rank must call it, between two iterations' steps."""
        path = runner.save(checkpoint_name(iteration), iteration, optimizer=True)
        if is_main_process():
            retire(path.parent, iteration, self.max_keep_ckpts)


def require_whole_steps(runner: Any, interval: int, key: str) -> None:
    """Raises ConfigError for an interval, of that key, after which gradients wait for a step that a checkpoint would lose."""
    every = getattr(runner.optim_wrapper, "_accumulative_counts", 1)
    if interval % every:
        raise ConfigError(
            f"{key} is {interval}, no multiple of optim_wrapper.accumulative_counts = {every}: gradients gathered so far would "
            "be lost"
        )


def _checked(name: str, rule: str | None) -> str:
    known = RULES.get(next((start for start in RULES if name.rsplit("/", 1)[-1].startswith(start)), ""))
    if rule not in ("greater", "less", None):
        raise ConfigError(f"CheckpointHook: rule is {rule!r}; wanted 'greater' or 'less'")
    if rule is None and known is None:
        raise ConfigError(f"CheckpointHook: which way is better for {name!r}? Set rule='greater' or 'less'")
    return rule or str(known)
