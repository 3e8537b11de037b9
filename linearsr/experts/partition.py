"""Where one expert's noise levels end and the next one's begin: boundaries in shifted time t, ascending, K − 1 for K experts.

λ = −2 logit t is the log-SNR of the straight path. Wherever boundaries do not come out strictly ascending inside 0..1, it is
a ConfigError that says which of its inputs to change.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from numbers import Real

import torch
from torch import Tensor

from linearsr.core.errors import ConfigError
from linearsr.core.values import require_count

PUBLISHED_BOUNDARIES = (0.223, 0.875, 0.939)
"""Four experts (LinearSR, Tab. 5), in shifted time t: 0 clean, 1 noise."""

PUBLISHED_RANGE = (0.01163, 0.97131)
"""The t range whose bisection gives the published triple: solved from it, the paper names none."""


def bisect_log_snr(
    num_experts: int, *, anchor: float = 0.875, t_range: tuple[float, float] = PUBLISHED_RANGE
) -> tuple[float, ...]:
    """Boundaries by hierarchical bisection in log-SNR (LinearSR, Tab. 5).

    The anchor parts noisy from clean; each half of [λ(t_range[1]), λ(t_range[0])] is then halved at its midpoint in λ, again
    and again. So experts on one side of the anchor have equal widths in λ, and the boundaries of 2 experts are among those of
    4, and those among those of 8. Only the two outermost experts reach beyond t_range.

    num_experts: 1, 2, 4, 8, …; 0 < t_range[0] < anchor < t_range[1] < 1. Raises ConfigError otherwise.
    """
    if require_count(num_experts, "router.num_experts").bit_count() != 1:
        raise ConfigError(
            f"router.num_experts is {num_experts!r}; wanted a power of two; any other: equal_log_snr, LogSNRRouter"
        )
    low, high = _range(t_range)
    if not isinstance(anchor, Real) or not low < anchor < high:
        raise ConfigError(f"router.anchor is {anchor!r}; wanted a time inside router.t_range, {low}…{high}")
    if num_experts == 1:
        return ()
    logits = [_logit(low), _logit(anchor), _logit(high)]
    while len(logits) <= num_experts:
        middles = [(left + right) / 2 for left, right in pairwise(logits)]
        logits = sorted(logits + middles)
    # the anchor itself, not its logit and back
    inner = [anchor if 2 * i == num_experts else _sigmoid(logits[i]) for i in range(1, num_experts)]
    return require_boundaries(inner, "t_range is too narrow for num_experts: the boundaries")


def equal_log_snr(num_experts: int, *, t_range: tuple[float, float]) -> tuple[float, ...]:
    """Boundaries that give every expert the same width in λ over t_range; the two outermost reach beyond it.

    0 < t_range[0] < t_range[1] < 1: λ is infinite at 0 and 1. Commutes with the time shift, which is a translation in λ.
    """
    low, high = _range(t_range)
    start, width = _logit(low), _logit(high) - _logit(low)
    inner = [_sigmoid(start + width * share) for share in _shares(num_experts)]
    return require_boundaries(inner, "t_range is too narrow for num_experts: the boundaries")


def equal_time(num_experts: int) -> tuple[float, ...]:
    """Boundaries k/K: every expert has the same width in t (the uniform partition of LinearSR, Tab. 5)."""
    return tuple(_shares(num_experts))


def equal_mass(num_experts: int, quantile: Callable[[Tensor], Tensor]) -> tuple[float, ...]:
    """Boundaries that give every expert the same share of the training times (our choice).

    quantile: u float64 [n] in (0, 1) -> t [n] with P(time ≤ t) = u: a time sampler's own, or `times.quantile` of drawn ones
    """
    inner = quantile(torch.tensor(_shares(num_experts), dtype=torch.float64))
    return require_boundaries(inner.tolist(), "the times pile up: the quantiles that would be boundaries")


def equal_loss(num_experts: int, t: Sequence[float] | Tensor, loss: Sequence[float] | Tensor) -> tuple[float, ...]:
    """Boundaries that give every expert the same integral of a measured loss over t (our choice).

    t: [n] strictly ascending in 0..1, n ≥ 2; loss: [n] ≥ 0 at these times, a straight line between them; nothing counts beyond
    t[0] and t[−1]. To count as training does, multiply the loss by the density of the training times first.
    """
    t, loss = torch.as_tensor(t, dtype=torch.float64), torch.as_tensor(loss, dtype=torch.float64)
    if t.ndim != 1 or len(t) < 2 or not bool((t.diff() > 0).all()) or not bool(((t >= 0) & (t <= 1)).all()):
        raise ConfigError(f"the loss was measured at t {_few(t)}; wanted two or more times, strictly ascending in 0..1")
    if loss.shape != t.shape or not bool((loss >= 0).all()) or not 0 < torch.trapezoid(loss, t).item() < math.inf:
        raise ConfigError(f"the measured loss is {_few(loss)}; wanted {len(t)} finite numbers ≥ 0, not all of them 0")
    held = torch.cat([t.new_zeros(1), torch.cumulative_trapezoid(loss, t)])
    wanted = held[-1] * torch.tensor(_shares(num_experts), dtype=torch.float64)
    left = torch.searchsorted(held, wanted) - 1  # the piece in which each share is reached: held[left] < wanted
    start, slope = loss[left], loss.diff()[left] / t.diff()[left]
    rest = wanted - held[left]
    # start·x + slope·x²/2 = rest, by the root that stays accurate where the slope vanishes
    x = 2 * rest / (start + (start.square() + 2 * slope * rest).clamp(min=0).sqrt())
    return require_boundaries((t[left] + x).tolist(), "the loss piles up: the boundaries")


def require_boundaries(boundaries: Iterable[float], what: str = "router.boundaries") -> tuple[float, ...]:
    """As floats. Raises ConfigError unless they are strictly ascending inside 0..1, NaN too; what: they are, in the message."""
    given = _numbers(boundaries)
    if given is None or not all(left < right for left, right in pairwise((0.0, *given, 1.0))):
        raise ConfigError(f"{what} are {given or boundaries!r}; wanted a list of strictly ascending times between 0 and 1")
    return given


def _range(t_range: Iterable[float]) -> tuple[float, float]:
    ends = _numbers(t_range)
    if ends is None or len(ends) != 2 or not 0 < ends[0] < ends[1] < 1:
        raise ConfigError(f"router.t_range is {t_range!r}; wanted two times, 0 < t_range[0] < t_range[1] < 1")
    return ends[0], ends[1]


def _numbers(values: object) -> tuple[float, ...] | None:
    """None for what is not several numbers."""
    given = tuple(values) if isinstance(values, Iterable) else (None,)
    return tuple(float(value) for value in given) if all(isinstance(value, Real) for value in given) else None


def _shares(num_experts: int) -> list[float]:
    """1/K, 2/K, …, (K − 1)/K."""
    return [k / num_experts for k in range(1, require_count(num_experts, "router.num_experts"))]


def _few(values: Tensor) -> str:
    return str(values.tolist() if values.numel() <= 8 else [*values.flatten()[:8].tolist(), "…"])


def _logit(t: float) -> float:
    return math.log(t) - math.log1p(-t)


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))
