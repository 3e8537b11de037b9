"""Several denoisers behind one: each noise level has its own weights, and one expert works per evaluation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from linearsr.core.errors import ConfigError
from linearsr.core.registries import DENOISERS, ROUTERS
from linearsr.core.structures import GuidanceTokens
from linearsr.experts.upcycle import upcycle


@dataclass(frozen=True)
class MixturePrepared:
    """What `ExpertMixture.prepare` was given. Callers cannot change it; what an expert makes of it is kept in
    `by_expert` from that expert's first use on, so that an expert which is never used costs nothing."""

    lr: Tensor | None
    guidance: GuidanceTokens | None
    times: Tensor | None
    by_expert: dict[int, Any] = field(default_factory=dict, repr=False, compare=False)


@DENOISERS.register_module()
class ExpertMixture(nn.Module):
    """K whole denoisers and a router by time (LinearSR, Tab. 5). Itself a denoiser: B pictures, z [B, C, h, w], t [B].

    router: dict(type=…) of a router that depends on time only; it says how many experts there are
    expert: dict(type=…) of one denoiser; all K are built alike and then have weights of their own, `experts.k.…`
    latent_channels, latent_factor, upscale, guidance_width, log_snr: supplied by the model, passed on to each expert

    A picture's expert gets no other picture and the others get no gradient; under DistributedDataParallel that needs
    find_unused_parameters=True.
    """

    def __init__(
        self,
        router: Mapping[str, Any],
        expert: Mapping[str, Any],
        latent_channels: int,
        latent_factor: int,
        upscale: int,
        guidance_width: int | None = None,
        log_snr: Callable[[Tensor], Tensor] | None = None,
    ):
        super().__init__()
        self.router = ROUTERS.build(router, log_snr=log_snr)
        if not self.router.depends_on_time_only:
            raise ConfigError(f"ExpertMixture routes by time; {router['type']} needs more than t; change denoiser.router")
        supplied = {
            "latent_channels": latent_channels,
            "latent_factor": latent_factor,
            "upscale": upscale,
            "guidance_width": guidance_width,
            "log_snr": log_snr,
        }
        self.experts = nn.ModuleList(DENOISERS.build(expert, **supplied) for _ in range(len(self.router.boundaries) + 1))

    @property
    def patch_size(self) -> int:
        """Latent pixels per token and side; 1 for an expert that does not say."""
        return getattr(self.experts[0], "patch_size", 1)

    def forward(
        self,
        z_t: Tensor,
        t: Tensor,
        lr: Tensor | None = None,
        guidance: GuidanceTokens | None = None,
        *,
        prepared: MixturePrepared | None = None,
    ) -> Tensor:
        """As the expert's own: z_t [B, C, h, w], t [B], lr [B, 3, H, W] in −1..1 -> [B, C, h, w].

        Where one expert serves the whole batch, this is that expert's own call; else each picture's group is one call.
        """
        if prepared is not None and not (lr is None and guidance is None):
            raise ConfigError("lr and guidance were given beside `prepared`; they belong into prepare(lr, guidance, times)")
        served = self.router.route(t)
        experts: list[int] = served.unique().tolist()
        if len(experts) == 1:
            index = experts[0]
            own = None if prepared is None else self._prepared_for(index, prepared)
            return self.experts[index](z_t, t, lr, guidance, prepared=own)
        if prepared is not None:  # what an expert prepared is for the whole batch; its share of the pictures is not
            lr, guidance = prepared.lr, prepared.guidance
        groups = [(served == index).nonzero().flatten() for index in experts]
        pieces = [
            self.experts[index](z_t[rows], t[rows], None if lr is None else lr[rows], _rows_of(guidance, rows))
            for index, rows in zip(experts, groups, strict=True)
        ]
        return torch.cat(pieces)[torch.cat(groups).argsort()]

    def prepare(self, lr: Tensor | None, guidance: GuidanceTokens | None, times: Tensor | None = None) -> MixturePrepared:
        """Remembers; each expert prepares on its first use, for those of `times` that are its own, maybe none."""
        return MixturePrepared(lr, guidance, times)

    def upcycle(self, dense: Mapping[str, Tensor], source: str = "the dense checkpoint") -> None:
        """Every expert becomes a copy of one dense model; `dense` as its state dict. Raises WeightsError if it does not fit."""
        upcycle(self.experts, dense, source)

    def _prepared_for(self, index: int, prepared: MixturePrepared) -> Any:
        if index not in prepared.by_expert:
            expert: Any = self.experts[index]
            times = prepared.times
            own = None if times is None else times[self.router.route(times) == index]
            prepared.by_expert[index] = expert.prepare(prepared.lr, prepared.guidance, own)
        return prepared.by_expert[index]


def _rows_of(guidance: GuidanceTokens | None, rows: Tensor) -> GuidanceTokens | None:
    return None if guidance is None else GuidanceTokens(guidance.tokens[rows], guidance.mask[rows])
