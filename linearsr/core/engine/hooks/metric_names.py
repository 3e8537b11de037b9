"""Whether validation will measure what a hook is told to look at."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from linearsr.core.errors import ConfigError, nearest
from linearsr.core.evaluation import PictureMetrics


def check_metric_names(runner: Any, names: Collection[str], key: str) -> None:
    """names: "psnr_y", or "<data set>/psnr_y@<steps>". key: of the config, for the message. Raises ConfigError where nothing is
    validated or our metrics do not measure one of them. What others' metrics will be called is not known before they are asked.
    """
    if runner.val_loop is None:
        raise ConfigError(f"{key} names {', '.join(names)}, but nothing is validated: set val_dataloader too")
    metrics = runner.val_evaluator.metrics
    if not all(isinstance(metric, PictureMetrics) for metric in metrics):
        return
    known = {name for metric in metrics for name in metric.measures}
    steps = [str(number) for number in getattr(runner.val_loop, "num_steps", ())]
    for name in names:
        base, at, number = name.rsplit("/", 1)[-1].partition("@")
        if base not in known:
            hint = nearest(base, known) or "."
            raise ConfigError(f"{key} names {name!r}{hint} val_evaluator measures {', '.join(sorted(known))}")
        if bool(at) is not ("/" in name) and not name.startswith("bicubic/") and not any(metric.prefix for metric in metrics):
            raise ConfigError(
                f"{key} names {name!r}; wanted {base!r}, over all pictures, or '<data set>/{base}@<steps>', of a data set"
            )
        if at and steps and number not in steps:
            raise ConfigError(f"{key} names {name!r}; validation takes {', '.join(steps)} steps: set val_cfg.num_steps")


def require_measured(found: Collection[str], names: Collection[str], key: str) -> None:
    """found: what a validation has given. Raises ConfigError for the first name that is not there."""
    for name in names:
        if name not in found:
            raise ConfigError(f"{key} names {name!r}, which validation does not measure: {', '.join(found) or 'nothing'}")
