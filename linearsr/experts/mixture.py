"""Several denoisers behind one: each noise level has its own weights, and one expert works per evaluation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from linearsr.core.errors import ConfigError
from linearsr.core.registries import DENOISERS, ROUTERS
from linearsr.core.structures import GuidanceTokens
from linearsr.core.weights import load_strict
from linearsr.experts.balancing import load_balance
from linearsr.experts.disk_offload import DiskOffload
from linearsr.experts.grouping import by_expert
from linearsr.experts.offloading import HostOffload
from linearsr.experts.routing import count_experts
from linearsr.experts.shared_trunk import share, tie
from linearsr.experts.upcycle import dense_of_expert, mixture_of_copies

OFFLOADS = {"host": HostOffload, "disk": DiskOffload}
"""Values of `offload`."""


@dataclass(frozen=True)
class MixturePrepared:
    """What `ExpertMixture.prepare` was given, and what the router saw in it. Callers cannot change it; what an expert makes of
    it is kept in `by_expert` from that expert's first use on, so that an expert which is never used costs nothing."""

    lr: Tensor | None
    guidance: GuidanceTokens | None
    times: Tensor | None
    features: Tensor | None = None
    by_expert: dict[int, Any] = field(default_factory=dict, repr=False, compare=False)


@DENOISERS.register_module()
class ExpertMixture(nn.Module):
    """K denoisers and a router (LinearSR, Tab. 5). Itself a denoiser: B pictures, z [B, C, h, w], t [B].

    router:     dict(type=…); it says how many experts there are
    expert:     dict(type=…) of one denoiser; all K are built alike
    per_expert: None: each expert has all weights for itself, `experts.k.…`. Patterns over the denoiser's parameter names, such
                as ["*.feed_forward.*"]: only those; the others are one `trunk.…` for all
    rank:       of what each expert adds to the matrices that per_expert names, which are then the trunk's (LoRA); None: they
                are the experts' own
    offload:    None, or "host": at sampling one expert at a time is on the device, and the others wait in host memory; or
                "disk": they wait in mapped files
    offload_folder: of these files, for "disk" alone; None: the system's folder for temporary files
    latent_channels, latent_factor, upscale, guidance_width, log_snr: supplied by the model, passed on to each expert

    A picture's expert gets no other picture and the others get no gradient; under DistributedDataParallel that needs
    find_unused_parameters=True. A router that learns gets its gradient in training mode, where every picture is given to all
    experts and their answers are mixed by `router.weights` (our choice); otherwise each picture has the one that it routes to.
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
        per_expert: Sequence[str] | None = None,
        rank: int | None = None,
        offload: str | None = None,
        offload_folder: str | None = None,
    ):
        super().__init__()
        if offload is not None and offload not in OFFLOADS:
            raise ConfigError(f"denoiser.offload is {offload!r}; wanted None or one of {', '.join(map(repr, OFFLOADS))}")
        if offload is None and offload_folder is not None:
            raise ConfigError('denoiser.offload_folder is set; it is for denoiser.offload="disk"; leave it out')
        if offload is not None and expert.get("cuda_graphs"):
            raise ConfigError(
                "a CUDA graph needs its weights where they were; set denoiser.offload or expert.cuda_graphs, not both"
            )
        self.router = ROUTERS.build(router, log_snr=log_snr)
        supplied = {
            "latent_channels": latent_channels,
            "latent_factor": latent_factor,
            "upscale": upscale,
            "guidance_width": guidance_width,
            "log_snr": log_snr,
        }
        num_experts = count_experts(self.router)
        self.offload = None if offload is None else OFFLOADS[offload](num_experts, offload_folder)
        self.trunk: nn.Module | None = None if per_expert is None else DENOISERS.build(expert, **supplied)
        self.experts = nn.ModuleList()
        for _ in range(num_experts):
            self.experts.append(DENOISERS.build(expert, **supplied))
            _store(self)
        if self.trunk is not None:
            share(self.trunk, self.experts, per_expert or (), rank)
            _store(self)
        elif rank is not None:
            raise ConfigError("denoiser.rank is of what experts add to a trunk; name the layers in denoiser.per_expert")
        self.register_load_state_dict_pre_hook(_come_home)
        self.register_load_state_dict_post_hook(_tie_again)
        self.register_load_state_dict_post_hook(_store)

    @property
    def patch_size(self) -> int:
        """Latent pixels per token and side; 1 for an expert that does not say."""
        return getattr(self.experts[0], "patch_size", 1)

    @property
    def tile(self) -> Any:
        """Of the experts, all of them: as a config of theirs has it. AttributeError for experts without one."""
        return self.experts[0].tile

    @tile.setter
    def tile(self, tile: Any) -> None:
        for expert in self.experts:
            expert.tile = tile

    @property
    def times_on_host(self) -> bool:
        """Whether times are given to it on the CPU in sampling: as its experts want them."""
        return getattr(self.experts[0], "times_on_host", False)

    def assign(self, t: Tensor, lr: Tensor | None) -> Tensor:
        """int64 [B]: which expert serves each picture at t [B]; lr in −1..1, for a router that looks at it."""
        return self._route(t, self._features(lr))

    def load_balance(self, t: Tensor, lr: Tensor | None) -> Tensor:
        """The load balancing loss of a router that learns, on this batch: a scalar, 1 where the load is equal."""
        return load_balance(self.router.weights(t, self._features(lr)))

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
        if self.offload is not None and self.training and torch.is_grad_enabled():
            raise ConfigError("denoiser.offload is for sampling; set denoiser.offload=None to train")
        features = self._features(lr) if prepared is None else prepared.features
        if self.training and torch.is_grad_enabled() and hasattr(self.router, "weights"):
            given = (lr, guidance) if prepared is None else (prepared.lr, prepared.guidance)
            return self._blend(z_t, t, self.router.weights(t, features), *given)
        served = self._route(t, features)
        experts: list[int] = served.unique().tolist()
        if len(experts) == 1:
            index = experts[0]
            expert = self._expert(index, z_t.device)
            own = None if prepared is None else self._prepared_for(index, prepared)
            self._announce_next(index, t, prepared, z_t.device)
            return expert(z_t, t, lr, guidance, prepared=own)
        if prepared is not None:  # what an expert prepared is for the whole batch; its share of the pictures is not
            lr, guidance = prepared.lr, prepared.guidance
        return by_expert(served, lambda k, *rows: self._expert(k, z_t.device)(*rows), z_t, t, lr, guidance)

    def prepare(self, lr: Tensor | None, guidance: GuidanceTokens | None, times: Tensor | None = None) -> MixturePrepared:
        """Remembers; each expert prepares on its first use, for those of `times` that are its own, maybe none."""
        return MixturePrepared(lr, guidance, times, self._features(lr))

    def upcycle(self, dense: Mapping[str, Tensor], source: str = "the dense checkpoint") -> None:
        """Every expert becomes a copy of one dense model, so that the mixture equals it (LinearSR, Tab. 5).

        dense: its denoiser's state dict. A router keeps what it has learnt. Raises WeightsError if it does not fit; then
        nothing has changed.
        """
        load_strict(self, mixture_of_copies(dense, self.state_dict(), source), source)

    def dense_state_dict(self, expert: int) -> dict[str, Tensor]:
        """One expert as a dense model's state dict. Raises WeightsError if there is no such expert."""
        return dense_of_expert(self.state_dict(), expert)

    def _features(self, lr: Tensor | None) -> Tensor | None:
        """What the router wants to know of the pictures besides t."""
        if self.router.depends_on_time_only or lr is None or not hasattr(self.router, "features"):
            return None
        return self.router.features(lr)

    def _route(self, t: Tensor, features: Tensor | None) -> Tensor:
        """Where t lies, unless pictures are looked at."""
        return self.router.route(t if features is None else t.to(features.device), features)

    def _blend(self, z_t: Tensor, t: Tensor, weights: Tensor, lr: Tensor | None, guidance: GuidanceTokens | None) -> Tensor:
        answers = [expert(z_t, t, lr, guidance) for expert in self.experts]
        shares = weights.to(answers[0].dtype).unbind(1)
        return torch.stack([share.view(-1, 1, 1, 1) * own for share, own in zip(shares, answers, strict=True)]).sum(0)

    def _expert(self, index: int, device: torch.device) -> nn.Module:
        if self.offload is not None:
            self.offload.use(list(self.experts), index, device)
        return self.experts[index]

    def _announce_next(self, index: int, t: Tensor, prepared: MixturePrepared | None, device: torch.device) -> None:
        """On an expert's last known time the next one's journey begins."""
        if self.offload is None or prepared is None or prepared.times is None or not self.router.depends_on_time_only:
            return
        later = prepared.times[prepared.times < t.min()]
        if len(later) and (following := int(self.router.route(later.max()[None]))) != index:
            self.offload.prefetch(list(self.experts), following, device)

    def _prepared_for(self, index: int, prepared: MixturePrepared) -> Any:
        if index not in prepared.by_expert:
            expert: Any = self.experts[index]
            times = prepared.times
            if times is not None and self.router.depends_on_time_only:
                times = times[self.router.route(times) == index]
            prepared.by_expert[index] = expert.prepare(prepared.lr, prepared.guidance, times)
        return prepared.by_expert[index]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> ExpertMixture:
        """Of torch's `to` and its like: offloaded experts pass over the device one at a time and then wait where they did."""
        if self.offload is None:
            super()._apply(fn, recurse)
        else:
            _come_home(self)
            experts = self._modules.pop("experts")
            try:
                super()._apply(fn, recurse)
            finally:
                self._modules["experts"] = experts
            for index, expert in enumerate(self.experts):
                expert._apply(fn)
                self.offload.store(expert, index)
        _tie_again(self)
        return self

    def __getstate__(self) -> dict[str, Any]:
        """Of copies and pickles."""
        _come_home(self)
        return self.__dict__

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        _store(self)


def _come_home(mixture: ExpertMixture, *_: Any) -> None:
    """What is loaded, moved, cast or copied must be the originals."""
    if mixture.offload is not None:
        mixture.offload.release_all(list(mixture.experts))


def _store(mixture: ExpertMixture, *_: Any) -> None:
    """What torch has put into experts goes where inactive experts wait."""
    if mixture.offload is not None:
        for index, expert in enumerate(mixture.experts):
            mixture.offload.store(expert, index)


def _tie_again(mixture: ExpertMixture, *_: Any) -> None:
    if mixture.trunk is not None:
        tie(mixture.trunk, mixture.experts)
