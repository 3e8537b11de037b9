"""Learning-rate schedules: written in fractions of the run, and found again when a run is resumed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.optim import OptimWrapper, ReduceOnPlateauParamScheduler

from linearsr.core.errors import ConfigError

FRACTIONS = ("begin", "end", "T_max")
FACTORS = {"LinearLR": "start_factor", "ConstantLR": "factor"}
"""Which mmengine undoes in the schedule's last iteration; where the first is the last it never does."""


def resolve_fractions(schedulers: Any, max_iters: int) -> list[dict[str, Any]]:
    """begin, end and T_max written as floats in 0..1 become iterations; whole numbers are iterations already.

    A schedule lasts one iteration at least, however short the run; a warm-up that would last no more has no effect. Raises
    ConfigError for a fraction outside 0..1, an end before the begin, and a warm-up of one iteration in whole numbers.
    """
    resolved = []
    for scheduler in [schedulers] if isinstance(schedulers, Mapping) else schedulers:
        entry = dict(scheduler)
        if "end" in entry and type(entry["end"]) is type(entry.get("begin")) and entry["end"] <= entry["begin"]:
            raise ConfigError(f"param_scheduler.end is {entry['end']}, and begin {entry['begin']}; wanted an end after it")
        for key in FRACTIONS:
            value = entry.get(key)
            if isinstance(value, float):
                if not 0 <= value <= 1:
                    raise ConfigError(
                        f"param_scheduler.{key} is {value}; wanted a fraction of max_iters in 0..1, or a whole number"
                    )
                least = {"begin": 0, "end": entry.get("begin", 0) + 1, "T_max": 1}[key]
                entry[key] = max(least, round(value * max_iters))
        if _stays_at_its_factor(entry) and isinstance(scheduler["end"], float):
            entry[FACTORS[entry["type"]]] = 1.0
        elif _stays_at_its_factor(entry):
            raise ConfigError(
                f"param_scheduler: {entry['type']} from begin={entry.get('begin', 0)} to end={entry['end']} would keep its "
                "first factor for the whole run; wanted two iterations at least"
            )
        resolved.append(entry)
    return resolved


def _stays_at_its_factor(entry: Mapping[str, Any]) -> bool:
    return entry.get("type") in FACTORS and "end" in entry and entry["end"] - entry.get("begin", 0) < 2


def replayable(schedulers: Any, optim_wrapper: Any) -> bool:
    """Whether every schedule is a function of the iteration alone, over one optimiser."""
    return (
        isinstance(optim_wrapper, OptimWrapper)
        and isinstance(schedulers, Sequence)
        and not any(isinstance(scheduler, ReduceOnPlateauParamScheduler) for scheduler in schedulers)
    )


def replay(
    schedulers: Sequence[Any], optim_wrapper: OptimWrapper, settings: Sequence[Mapping[str, Any]], iteration: int, epoch: int
) -> None:
    """Sets the optimiser to what the config's schedules make of it at `iteration`.

    schedulers: fresh; settings: of each parameter group at iteration 0. So a run that is resumed under another max_iters or
    learning rate follows the config, and one that is resumed as it was has the very numbers of an uninterrupted one.
    """
    for group, fresh in zip(optim_wrapper.param_groups, settings, strict=True):
        group.update(fresh)
    optim_wrapper.optimizer._global_step = iteration  # what mmengine asks for "was there a step before this schedule's?"
    for scheduler in schedulers:
        scheduler.optimizer._global_step = iteration
    for by_epoch, count in ((False, iteration), (True, epoch)):
        chosen = [scheduler for scheduler in schedulers if scheduler.by_epoch is by_epoch]
        for _ in range(count):
            for scheduler in chosen:
                scheduler.step()
