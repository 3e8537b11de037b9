"""An optimiser that goes on where another run's stood, at the learning rate of its own config."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from linearsr.core.engine.checkpoints.files import read_checkpoint
from linearsr.core.engine.checkpoints.restoring import group_settings
from linearsr.core.errors import WeightsError


def take_optimizer(runner: Any, path: Path) -> None:
    """runner: built, not begun. Moments come from the checkpoint; learning rates and all other settings stay the config's.

    Raises WeightsError where the checkpoint has no optimiser, or one of other parameters.
    """
    saved = read_checkpoint(path).get("optimizer")
    wrapper = runner.optim_wrapper
    own = [len(group["params"]) for group in wrapper.param_groups]
    theirs = None if saved is None else [len(group["params"]) for group in saved["param_groups"]]
    if saved is None or theirs != own:
        what = "has no optimiser" if saved is None else f"has an optimiser of {theirs} parameters in groups, the model {own}"
        raise WeightsError(f"{path} {what}; the stage's optimizer='kept' needs one of the same model: set it to 'fresh'")
    settings = group_settings(wrapper)
    wrapper.load_state_dict(saved)
    for group, fresh in zip(wrapper.param_groups, settings, strict=True):
        for key in group.keys() - fresh.keys() - {"params"}:
            del group[key]  # such as the rate that the other run's schedules began with
        group.update(fresh)
