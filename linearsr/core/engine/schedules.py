"""Learning-rate schedules written in fractions of the run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from linearsr.core.errors import ConfigError

FRACTIONS = ("begin", "end", "T_max")


def resolve_fractions(schedulers: Any, max_iters: int) -> list[dict[str, Any]]:
    """begin, end and T_max written as floats in 0..1 become iterations; whole numbers are iterations already.

    A schedule lasts one iteration at least, however short the run. Raises ConfigError for a fraction outside 0..1.
    """
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
                least = {"begin": 0, "end": entry.get("begin", 0) + 1, "T_max": 1}[key]
                entry[key] = max(least, round(value * max_iters))
        resolved.append(entry)
    return resolved
