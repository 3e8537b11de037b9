"""The partition that knows nothing of noise: what routing by log-SNR is compared with."""

from __future__ import annotations

from linearsr.core.registries import ROUTERS
from linearsr.experts.partition import equal_time
from linearsr.experts.routing import TimeRouter


@ROUTERS.register_module()
class UniformRouter(TimeRouter):
    """Equal widths in t; four experts are cut at 0.25, 0.5 and 0.75 (LinearSR, Tab. 5).

    num_experts: ≥ 1; ConfigError otherwise
    """

    def __init__(self, num_experts: int = 4):
        super().__init__(equal_time(num_experts))
