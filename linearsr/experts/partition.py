"""Where one expert's noise levels end and the next one's begin."""

from __future__ import annotations

import math
from itertools import pairwise

from linearsr.core.errors import ConfigError

PUBLISHED_BOUNDARIES = (0.223, 0.875, 0.939)
"""Four experts (LinearSR, Tab. 5), in shifted time t: 0 clean, 1 noise."""

PUBLISHED_RANGE = (0.01163, 0.97131)
"""The t range whose bisection gives the published triple: solved from it, the paper names none."""


def bisect_log_snr(
    num_experts: int, *, anchor: float = 0.875, t_range: tuple[float, float] = PUBLISHED_RANGE
) -> tuple[float, ...]:
    """Boundaries in t, ascending, `num_experts` − 1 of them, by hierarchical bisection in log-SNR (LinearSR, Tab. 5).

    The anchor parts noisy from clean; each half of [λ(t_range[1]), λ(t_range[0])], λ = −2 logit t, is then halved at its
    midpoint in λ, again and again. So experts on one side of the anchor have equal widths in λ, and the boundaries of 2
    experts are among those of 4, and those among those of 8. Only the two outermost experts reach beyond t_range.

    num_experts: 1, 2, 4, 8, …; 0 < t_range[0] < anchor < t_range[1] < 1. Raises ConfigError otherwise.
    """
    if isinstance(num_experts, bool) or not isinstance(num_experts, int) or num_experts < 1 or num_experts.bit_count() != 1:
        raise ConfigError(f"num_experts is {num_experts!r}; wanted a power of two: 1, 2, 4, 8, …")
    low, high = t_range
    if not 0 < low < anchor < high < 1:
        raise ConfigError(f"the anchor is {anchor} in the range {low}…{high}; wanted 0 < t_range[0] < anchor < t_range[1] < 1")
    if num_experts == 1:
        return ()
    logits = [_logit(low), _logit(anchor), _logit(high)]
    while len(logits) <= num_experts:
        middles = [(left + right) / 2 for left, right in pairwise(logits)]
        logits = sorted(logits + middles)
    # the anchor itself, not its logit and back
    return tuple(anchor if 2 * i == num_experts else _sigmoid(logits[i]) for i in range(1, num_experts))


def _logit(t: float) -> float:
    return math.log(t) - math.log1p(-t)


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))
