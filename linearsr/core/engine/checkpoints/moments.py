"""An optimiser that goes on where another run's stood, at the learning rate of its own config."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from linearsr.core.engine.checkpoints.files import read_checkpoint
from linearsr.core.engine.checkpoints.restoring import group_settings
from linearsr.core.errors import WeightsError


def take_optimizer(runner: Any, path: Path) -> None:
    """runner: built, not begun. Moments come from the checkpoint; learning rates and all other settings stay the config's.

    Raises WeightsError where the checkpoint has no optimiser, or one of other parameters.
    """
    saved, wrapper = read_checkpoint(path).get("optimizer"), runner.optim_wrapper
    if saved is None:
        raise WeightsError(f"{path} has no optimiser; the stage's optimizer='kept' needs one: set it to 'fresh'")
    own = [parameter for group in wrapper.param_groups for parameter in group["params"]]
    if sum(len(group["params"]) for group in saved["param_groups"]) != len(own) or _settings(saved) != _settings(
        wrapper.optimizer.state_dict()
    ):
        raise WeightsError(f"{path} has the optimiser of another kind or model; set the stage's optimizer to 'fresh'")
    for index, moments in saved["state"].items():
        shapes = [tensor.shape for tensor in moments.values() if isinstance(tensor, Tensor) and tensor.ndim]
        if any(shape != own[index].shape for shape in shapes):
            raise WeightsError(f"{path} has the optimiser of a model of other sizes; set the stage's optimizer to 'fresh'")
    settings = group_settings(wrapper)
    wrapper.load_state_dict(saved)
    for group, fresh in zip(wrapper.param_groups, settings, strict=True):
        for key in group.keys() - fresh.keys() - {"params"}:
            del group[key]  # such as the rate that the other run's schedules began with
        group.update(fresh)


def _settings(state: Mapping[str, Any]) -> list[set[str]]:
    """Names of each group's settings, which differ between kinds of optimisers. What schedules add does not count."""
    return [set(group) - {"params", "initial_lr"} for group in state["param_groups"]]
