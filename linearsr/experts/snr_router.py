"""Routers by log-SNR: boundaries as given, by bisection, or in equal steps."""

from __future__ import annotations

from collections.abc import Iterable

from linearsr.core.registries import ROUTERS
from linearsr.experts.partition import PUBLISHED_BOUNDARIES, PUBLISHED_RANGE, bisect_log_snr, equal_log_snr
from linearsr.experts.routing import TimeRouter


@ROUTERS.register_module()
class SNRRouter(TimeRouter):
    """Boundaries as given; the published triple gives four experts (LinearSR, Tab. 5).

    boundaries: from any function of `linearsr.experts.partition`, as numbers; () is one expert
    """

    def __init__(self, boundaries: Iterable[float] = PUBLISHED_BOUNDARIES):
        super().__init__(boundaries)


@ROUTERS.register_module()
class BisectionRouter(TimeRouter):
    """Hierarchical bisection in log-SNR, see `bisect_log_snr` (LinearSR, Tab. 5).

    num_experts: 1, 2, 4, 8, …
    anchor:      the shifted time that parts noisy from clean experts, inside t_range
    t_range:     (low, high) inside 0..1, whose halves are halved. Raises ConfigError for anything else.
    """

    def __init__(self, num_experts: int = 4, anchor: float = 0.875, t_range: tuple[float, float] = PUBLISHED_RANGE):
        super().__init__(bisect_log_snr(num_experts, anchor=anchor, t_range=t_range))


@ROUTERS.register_module()
class LogSNRRouter(TimeRouter):
    """Equal widths in log-SNR, see `equal_log_snr`.

    num_experts: ≥ 1
    t_range:     (low, high) inside 0..1, which is divided. Raises ConfigError for anything else.
    """

    def __init__(self, num_experts: int, t_range: tuple[float, float]):
        super().__init__(equal_log_snr(num_experts, t_range=t_range))
