"""Figures held against their limits: an Alarm, or None."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeVar

from linearsr.core.engine.optimisation.divergence import Alarm
from linearsr.core.engine.optimisation.recent_range import RecentRange

K = TypeVar("K")
Norms = Mapping[str, Sequence[float]]
"""Name of a layer -> |W_q|, |W_k|"""


def range_alarm(figure: str, value: float, recent: RecentRange, limit: float) -> Alarm | None:
    """figure: "loss" or "gradient", whose norm it then is; limit: in deviations above the median."""
    away = recent.deviations(value)
    if away is None or away <= limit:
        return None
    of = "loss" if figure == "loss" else "norm of the gradient"
    text = f"the {of} is {value:.4g}, {away:.3g} deviations above the {recent.middle():.4g} that it was around lately"
    return Alarm(f"{figure} range", away, limit, f"{text}, and the limit is {limit:g} (DivergenceGuard.{figure})")


def growth(norms: Norms, first: Norms) -> dict[tuple[str, str], float]:
    """(layer, "|W_q|" or "|W_k|") -> how many times what it was. What was 0 at first has no growth."""
    return {
        (layer, name): now / before
        for layer in norms
        if layer in first
        for name, now, before in zip(("|W_q|", "|W_k|"), norms[layer], first[layer], strict=True)
        if before > 0
    }


def growth_alarm(figures: Mapping[tuple[str, str], float], limit: float) -> Alarm | None:
    """figures: at least one, as from `growth`."""
    (layer, name), figure = largest(figures)
    if figure <= limit:
        return None
    text = (
        f"{name} of {layer} is {figure:.4g} times what it was at the start, and the limit is {limit:g} (DivergenceGuard.growth)"
    )
    return Alarm("query-key growth", figure, limit, text, layer)


def denominator_alarm(figures: Mapping[str, float], limit: float) -> Alarm | None:
    """figures: layer -> smallest denominator above 0; at least one."""
    layer, figure = smallest(figures)
    if figure >= limit:
        return None
    text = f"the smallest denominator of {layer} is {figure:.3g}, and the limit is {limit:g} (DivergenceGuard.denominator)"
    return Alarm("denominator", figure, limit, text, layer)


def state_alarm(figures: Mapping[str, float], limit: float) -> Alarm | None:
    """figures: layer -> largest entry of its state; at least one."""
    layer, figure = largest(figures)
    if figure <= limit:
        return None
    text = f"the largest entry of the state of {layer} is {figure:.4g}, and the limit is {limit:g} (DivergenceGuard.state)"
    return Alarm("state", figure, limit, text, layer)


def largest(figures: Mapping[K, float]) -> tuple[K, float]:
    """The first key of the largest figure, or of one that is not a number."""
    return max(figures.items(), key=lambda item: math.inf if math.isnan(item[1]) else item[1])


def smallest(figures: Mapping[K, float]) -> tuple[K, float]:
    return min(figures.items(), key=lambda item: -math.inf if math.isnan(item[1]) else item[1])
