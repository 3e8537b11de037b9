"""A router that learns which expert serves which picture at which noise."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import accumulate

import torch
from torch import Tensor, nn

from linearsr.core.errors import ShapeError
from linearsr.core.registries import ROUTERS
from linearsr.core.values import require_count, require_positive
from linearsr.experts.partition import PUBLISHED_BOUNDARIES, require_boundaries
from linearsr.experts.picture_features import FEATURES, picture_features
from linearsr.experts.routing import require_times

LOG_SNR_LIMIT = 40.0
"""Beyond it λ counts as ±40: it is infinite at t = 0 and 1. Every float32 t below 1 has λ > −34."""

LOG_SNR_SCALE = 10.0
"""The gate is told tanh(λ/10): training sees about −10..10, and sampling begins at the end, where t = 1."""


@ROUTERS.register_module()
class LearnedRouter(nn.Module):
    """A partition by log-SNR that a small gate bends picture by picture (our choice; LinearSR's router is fixed).

    Weights are softmax(prior(λ) + gate(λ, features)). The prior is an ordinal logit: from expert k − 1 to k it rises by
    sharpness·(λ(boundaries[k−1]) − λ), so alone it is largest for the expert that SNRRouter names. The gate's last layer starts
    at zero, and so the router starts as SNRRouter(boundaries). In use the largest weight decides; on a tie, the noisier expert.

    boundaries: where it starts, K − 1 shifted times, strictly ascending inside 0..1
    hidden:     width of the gate, ≥ 1
    sharpness:  of the prior, > 0, per unit of λ; at 2 the weights of two neighbours cross within about ±1
    log_snr:    supplied by the model: t [B] -> λ [B]; None is that of the straight path, −2 logit t
    Raises ConfigError otherwise.
    """

    depends_on_time_only = False

    def __init__(
        self,
        boundaries: Iterable[float] = PUBLISHED_BOUNDARIES,
        hidden: int = 32,
        sharpness: float = 2.0,
        log_snr: Callable[[Tensor], Tensor] | None = None,
    ):
        super().__init__()
        self.boundaries = require_boundaries(boundaries)
        self.sharpness = require_positive(sharpness, "router.sharpness")
        self.log_snr = log_snr or _straight_log_snr
        width = require_count(hidden, "router.hidden")
        self.gate = nn.Sequential(nn.Linear(1 + FEATURES, width), nn.SiLU(), nn.Linear(width, self.num_experts))
        for parameter in self.gate[-1].parameters():
            nn.init.zeros_(parameter)

    @property
    def num_experts(self) -> int:
        return len(self.boundaries) + 1

    def features(self, lr_pm1: Tensor) -> Tensor:
        """lr [B, 3, H, W] in −1..1 -> [B, 12], see `picture_features`: what `route` and `weights` want."""
        return picture_features(lr_pm1)

    def weights(self, t: Tensor, features: Tensor) -> Tensor:
        """t [B] float32 or float64 in 0..1, features [B, 12] -> [B, K] in t's type, > 0 up to underflow; each row sums to 1."""
        return self._logits(t, features).softmax(dim=1)

    @torch.no_grad()
    def route(self, t: Tensor, features: Tensor | None = None) -> Tensor:
        """As `weights` -> int64 [B] in 0..K−1, the expert of the largest one. Raises ShapeError for a 16-bit t, for NaN, for a
        t outside 0..1 and for features that are missing, not finite or of another shape."""
        return self.num_experts - 1 - self._logits(t, features).flip(1).argmax(dim=1)

    def _logits(self, t: Tensor, features: Tensor | None) -> Tensor:
        """[B, K] in t's type: the gate computes in its parameters' type, λ and the prior are never rounded to 16 bits."""
        batch = len(require_times(t))
        if features is None or features.shape != (batch, FEATURES) or not bool(features.isfinite().all()):
            got = "missing" if features is None else f"{list(features.shape)}, finite: {bool(features.isfinite().all())}"
            raise ShapeError(f"the features are {got}; wanted finite [{batch}, {FEATURES}], from router.features(lr)")
        snr = self._limited(t)
        edges = self._limited(torch.tensor(self.boundaries, dtype=t.dtype, device=t.device))
        rises = self.sharpness * (edges - snr[:, None])
        # summed one by one: on a boundary two neighbours are then the same number on every device
        prior = torch.stack([*accumulate(rises.unbind(dim=1), initial=torch.zeros_like(snr))], dim=1)
        with torch.autocast(t.device.type, enabled=False):
            own = next(self.gate.parameters()).dtype
            noise = (snr / LOG_SNR_SCALE).tanh()[:, None]
            bend = self.gate(torch.cat([noise.to(own), features.to(own)], dim=1))
        return prior + bend.to(t.dtype)

    def _limited(self, t: Tensor) -> Tensor:
        return self.log_snr(t).clamp(-LOG_SNR_LIMIT, LOG_SNR_LIMIT)


def _straight_log_snr(t: Tensor) -> Tensor:
    return -2 * t.logit()
