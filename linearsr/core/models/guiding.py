"""Sampling with guidance as a wrapper of the velocity: the solver knows nothing of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from linearsr.core.errors import ConfigError
from linearsr.core.protocols import Guidance, Guider
from linearsr.core.registries import GUIDERS

Velocity = Callable[[Tensor, Tensor], Tensor]
"""velocity(z [B, C, h, w], t [B]) -> v [B, C, h, w]"""


def build_guider(
    guider: Mapping[str, Any] | None, guidance: Guidance | None, denoiser: Any, log_snr: Callable[[Tensor], Tensor]
) -> Guider | None:
    """Raises ConfigError for a guider without guidance, or with scales for the experts of a denoiser that has none."""
    if guider is None:
        return None
    if guidance is None:
        raise ConfigError("model.guider is set, but model.guidance is None; choose a guidance, or leave model.guider out")
    mixture = hasattr(denoiser, "experts") and hasattr(denoiser, "assign")
    built = GUIDERS.build(guider, log_snr=log_snr, num_experts=len(denoiser.experts) if mixture else None)
    if built.asks_expert and not mixture:
        raise ConfigError(
            "model.guider has a scale for each expert (guider.per_expert), but model.denoiser has no experts; "
            "set guider.scale, or use ExpertMixture"
        )
    return built


def guided(
    guider: Guider, conditional: Velocity, unconditional: Velocity, assign: Callable[[Tensor], Tensor] | None = None
) -> Velocity:
    """What `guider` makes of two velocities, which get t as the solver has it.

    assign(t [B]) -> int64 [B], each picture's expert, for a guider that asks. The unconditional velocity is asked for where
    some picture's scale is not 1; the others of its batch keep their conditional one exactly. It is a call of its own: that
    needs half the memory of both in one batch, and the conditional one is bit for bit that of sampling without a guider.
    """

    def velocity(z: Tensor, t: Tensor) -> Tensor:
        on_host = t.cpu()
        expert = assign(t).cpu() if guider.asks_expert and assign is not None else None
        scale = guider.scales(on_host, expert)
        v = conditional(z, t)
        if bool((scale == 1).all()):
            return v
        scale = scale.to(v.device, non_blocking=True)
        return torch.where((scale == 1).view(-1, 1, 1, 1), v, guider.combine(v, unconditional(z, t), scale))

    return velocity
