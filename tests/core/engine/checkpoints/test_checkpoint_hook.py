"""When checkpoints are written and which are kept, in real runs of six iterations."""

from pathlib import Path

import pytest
import torch

from linearsr.core.engine import run_training
from linearsr.core.engine.hooks import CheckpointHook
from linearsr.core.errors import ConfigError, WeightsError


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*.pth")}


@pytest.mark.parametrize(
    ("interval", "keep", "left"),
    [(1, 2, {5, 6}), (4, -1, {4, 6}), (6, 1, {6}), (100, 3, {6}), (2, 1, {6})],
)
def test_the_newest_stay_and_the_last_iteration_is_saved(config: Path, tmp_path: Path, interval, keep, left) -> None:
    options = {"default_hooks.checkpoint.interval": interval, "default_hooks.checkpoint.max_keep_ckpts": keep}
    folder = run_training(config, tmp_path / "run", options=options)
    assert names(folder) == {f"iter_{n}.pth" for n in left}
    assert (folder / "last_checkpoint").read_text() == "iter_6.pth"


def test_the_best_by_each_metric_is_kept_and_is_no_checkpoint_to_resume(config: Path, tmp_path: Path) -> None:
    options = {
        "default_hooks.checkpoint.save_best": ["psnr_y", "tiny/psnr_y@1"],
        "default_hooks.checkpoint.rule": ["greater", "less"],
        "val_evaluator.metrics": ["psnr_y"],
        "train_cfg.val_interval": 1,
        "optim_wrapper.optimizer.lr": 0.05,
    }
    folder = run_training(config, tmp_path / "run", options=options)
    best, worst = (torch.load(folder / f"best_{name}.pth", weights_only=True) for name in ("psnr_y", "tiny_psnr_y@1"))
    scores = torch.load(folder / "iter_6.pth", weights_only=True)["message_hub"]["log_scalars"]["val/psnr_y"]["values"]
    # the checkpoint of the last iteration was written before the validation after it
    assert best["meta"]["iter"] != worst["meta"]["iter"]
    assert int(scores.argmax()) + 1 == best["meta"]["iter"] or best["meta"]["iter"] == 6
    with pytest.raises(WeightsError, match="lacks optimizer"):
        run_training(config, tmp_path / "run", resume=folder / "best_psnr_y.pth", options=options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"save_best": "sharpness"}, "which way is better for 'sharpness'"),
        ({"save_best": "psnr_y", "rule": "higher"}, "rule is 'higher'"),
        ({"save_best": ["psnr_y", "niqe"], "rule": ["greater"]}, "1 rules for 2 metrics"),
        ({"interval": 0}, "interval=0"),
        ({"max_keep_ckpts": 0}, "max_keep_ckpts=0"),
    ],
)
def test_what_makes_no_hook_is_refused(options, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        CheckpointHook(**options)


@pytest.mark.parametrize(
    ("metric", "rule"),
    [("psnr_y", "greater"), ("bundled/ssim_y", "greater"), ("niqe", "less"), ("lpips_alex", "less")],
)
def test_known_metrics_need_no_rule(metric: str, rule: str) -> None:
    assert CheckpointHook(save_best=metric).best == {metric: rule}


def test_a_metric_that_is_not_measured_is_named_with_those_that_are(config: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"save_best names 'ssim_y', which validation does not measure: .*psnr_y"):
        run_training(config, tmp_path / "run", options={"default_hooks.checkpoint.save_best": "ssim_y"})


def test_an_interval_that_would_lose_gathered_gradients_is_refused(config: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"interval is 3, no multiple of optim_wrapper\.accumulative_counts = 2"):
        run_training(config, tmp_path / "run", options={"optim_wrapper.accumulative_counts": 2})
