"""What a knee detector refuses: settings out of range, and evaluations that are not what it was told to expect."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from numbers import Real
from typing import Any

from linearsr.core.errors import ConfigError
from linearsr.schedules.checks import require_count
from linearsr.schedules.knee_point.reading import Options

Step = int | float
SIGNS = {"+1": 1, "1": 1, "-1": -1}


def checked_directions(directions: Mapping[str, int]) -> dict[str, int]:
    """Raises ConfigError unless at least one metric is named, and each with +1 or −1."""
    if not isinstance(directions, Mapping) or not directions:
        raise ConfigError(
            f"knee.directions is {directions!r}; wanted metrics and their signs, as {{'psnr_y': +1, 'lpips': -1}}"
        )
    for name, sign in directions.items():
        if isinstance(sign, bool) or sign not in (1, -1):
            raise ConfigError(f"knee.directions[{name!r}] is {sign!r}; wanted +1 (higher is better) or -1 (lower is)")
    return {name: int(sign) for name, sign in directions.items()}


def read_directions(words: Iterable[str]) -> dict[str, int]:
    """["psnr_y:+1", "lpips:-1"] -> {"psnr_y": 1, "lpips": -1}. Raises ConfigError for another form or a name given twice."""
    directions: dict[str, int] = {}
    for word in words:
        name, _, sign = word.rpartition(":")
        if not name or sign not in SIGNS or name in directions:
            raise ConfigError(f"the metric is given as {word!r}; wanted NAME:+1 (higher is better) or NAME:-1, each name once")
        directions[name] = SIGNS[sign]
    return directions


def checked_options(options: Options) -> Options:
    """Raises ConfigError for shares outside 0..1, an even or short window, or no patience."""
    for key in ("epsilon", "drawdown"):
        share = getattr(options, key)
        if not is_number(share) or not 0 < share < 1:
            raise ConfigError(f"knee.{key} is {share!r}; wanted a share between 0 and 1; change knee.{key}")
    require_count(options.patience, "knee.patience")
    if require_count(options.window, "knee.window", at_least=3) % 2 == 0:
        raise ConfigError(f"knee.window is {options.window}; wanted an odd number of evaluations; change knee.window")
    return options


def checked_evaluation(metrics: Mapping[str, float], wanted: Iterable[str]) -> dict[str, float]:
    """metric -> figure, NaN for one that is not finite. Raises ConfigError for other metrics, and for what is no number."""
    names = list(wanted)
    if set(metrics) != set(names):
        lacking, unknown = sorted(set(names) - set(metrics)), sorted(set(metrics) - set(names))
        found = [f"without {', '.join(lacking)}"] * bool(lacking) + [f"with {', '.join(unknown)} too"] * bool(unknown)
        raise ConfigError(
            f"an evaluation came {' and '.join(found)}; wanted exactly {', '.join(names)}; "
            f"got {', '.join(sorted(metrics)) or 'none'}; change knee.directions or the evaluator"
        )
    for name in names:
        if not isinstance(metrics[name], Real) or isinstance(metrics[name], bool):
            raise ConfigError(f"the metric {name} is {metrics[name]!r}; wanted a number")
    return {name: float(metrics[name]) if math.isfinite(metrics[name]) else math.nan for name in names}


def checked_step(step: Step, before: Step | None) -> Step:
    """Raises ConfigError unless step is a finite number above the one before."""
    if not is_number(step) or (before is not None and step <= before):
        wanted = "a finite number" if before is None else f"a number above {before}: steps increase strictly"
        raise ConfigError(f"the step of this evaluation is {step!r}; wanted {wanted}")
    return step


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
