"""The method, once, in order: what pictures go through in training (`loss`) and in use (`restore`).

B pictures; LR [B, 3, h, w], HR [B, 3, s·h, s·w]; latent z [B, C, s·h/f, s·w/f], for upscale s and autoencoder factor f.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.model import BaseModel
from torch import Tensor, nn

from linearsr.core import registries as parts
from linearsr.core.errors import ConfigError, ShapeError
from linearsr.core.models.compiling import compile_blocks
from linearsr.core.models.expert_training import expert_training
from linearsr.core.models.guiding import Velocity, build_guider, guided
from linearsr.core.models.memory_planner import MemoryPlanner
from linearsr.core.models.padding import pad_to_multiple
from linearsr.core.models.planned_tiles import PlannedTiles, Unplanned
from linearsr.core.models.telling import Prompts, told, untold, with_drops
from linearsr.core.planning.tiles import Tiles
from linearsr.core.randomness import generator, seed_of_picture, standard_normal
from linearsr.core.structures import GuidanceTokens, SRBatch
from linearsr.core.values import require_finite

RANGE_SLACK = 1e-3
"""How far a picture may leave 0..1, as resized pictures do by rounding."""

Part = Mapping[str, Any]


@parts.MODELS.register_module()
class LinearSR(BaseModel):
    """Flow matching from noise to the HR latent, conditioned on the LR picture (LinearSR).

    upscale: whole number that divides the autoencoder's factor. Every other argument describes a part as dict(type=…);
    `guidance`, `preconditioner` and `guider` may be None: no cross-attention, v = F, and sampling at guidance's own scale, 1.
    guidance_drop: probability, 0..1, that a training picture gets the null tokens in place of its own, for a guider to lead
    away from (SeeSR 0.5, Sana 0.1).
    compile_denoiser: torch.compile's options, such as dict(mode="max-autotune"), or True for its defaults.
    expert_shares, expert_loss_weights (a number for each expert) and expert_balance: how they train, see `ExpertTraining`.
    memory_gib: what `restore` may take, in GiB, or "device" for what the device has free, see `MemoryPlanner`: pictures that do
    not fit are restored in tiles. None: whatever it takes.
    What the model supplies to its parts: latent_channels, latent_factor, upscale, guidance_width, log_snr, num_experts.
    """

    def __init__(
        self,
        upscale: int,
        autoencoder: Part,
        denoiser: Part,
        path: Part,
        time_sampler: Part,
        time_grid: Part,
        solver: Part,
        guidance: Part | None = None,
        preconditioner: Part | None = None,
        guider: Part | None = None,
        guidance_drop: float = 0.0,
        compile_denoiser: Mapping[str, Any] | bool = False,
        expert_shares: Sequence[float] | None = None,
        expert_loss_weights: Sequence[float] | None = None,
        expert_balance: float | None = None,
        memory_gib: float | str | None = None,
    ):
        super().__init__()
        self.upscale = upscale
        self.path = parts.PATHS.build(path)
        self.time_sampler = parts.TIME_SAMPLERS.build(time_sampler, log_snr=self.path.log_snr)
        self.time_grid = parts.TIME_GRIDS.build(time_grid, log_snr=self.path.log_snr)
        self.solver = parts.SOLVERS.build(solver)
        self.preconditioner = None if preconditioner is None else parts.PRECONDITIONERS.build(preconditioner)
        self.guidance = None if guidance is None else parts.GUIDANCE.build(guidance)
        self.autoencoder = parts.AUTOENCODERS.build(autoencoder, upscale=upscale)
        if upscale < 1 or self.autoencoder.factor % upscale:
            raise ConfigError(
                f"model.upscale is {upscale}; wanted a whole number that divides the factor of model.autoencoder, "
                f"which is {self.autoencoder.factor}"
            )
        self.denoiser = parts.DENOISERS.build(
            denoiser,
            latent_channels=self.autoencoder.channels,
            latent_factor=self.autoencoder.factor,
            upscale=upscale,
            guidance_width=None if self.guidance is None else self.guidance.width,
            log_snr=self.path.log_snr,
        )
        self.expert_training = expert_training(
            self.denoiser, self.time_sampler, expert_shares, expert_loss_weights, expert_balance
        )
        self.guider = build_guider(guider, self.guidance, self.denoiser, self.path.log_snr)
        self.guidance_drop = require_finite(guidance_drop, "model.guidance_drop", 0, 1)
        if guidance_drop and self.guidance is None:
            raise ConfigError(f"model.guidance_drop is {guidance_drop}, but model.guidance is None; leave it out")
        self.lr_multiple: int = self.autoencoder.factor // upscale * getattr(self.denoiser, "patch_size", 1)

        for frozen in self._frozen:
            frozen.requires_grad_(False)
        self.memory = Unplanned() if memory_gib is None else MemoryPlanner(memory_gib)
        compile_blocks(self.denoiser, compile_denoiser)

    def train(self, mode: bool = True) -> LinearSR:
        """As torch's; the autoencoder and the guidance are not trained and stay as they are in use."""
        super().train(mode)
        for frozen in self._frozen:
            frozen.eval()
        return self

    @property
    def _frozen(self) -> list[nn.Module]:
        return [part for part in (self.autoencoder, self.guidance) if isinstance(part, nn.Module)]

    def loss(self, batch: SRBatch, prompts: Prompts | None = None, guidance: GuidanceTokens | None = None) -> dict[str, Tensor]:
        """Mean squared error of the velocity at a random time of each picture (LinearSR, flow matching).

        prompts, guidance: as in `restore`.
        """
        self._refuse_illegal_crop(batch)
        assert batch.hr is not None
        hr, lr = 2 * batch.hr - 1, 2 * batch.lr - 1
        with torch.no_grad(), torch.autocast(hr.device.type, enabled=False):  # what is to be learnt is not rounded to 16 bits
            z0 = self.autoencoder.encode(hr, lr)
            guidance = self._look(batch.lr, batch.hr, prompts, guidance)
            guidance = with_drops(guidance, self.guidance, self.guidance_drop, batch.seeds)
        t, z1 = self._draw(z0, batch.seeds)
        z_t = self.path.interpolate(z0, z1, t)
        v = self.velocity(z_t, t, lr, guidance)
        wide = torch.promote_types(v.dtype, torch.float32)
        v, target = v.to(wide), self.path.target(z0, z1).to(wide)
        if self.expert_training is None:
            return {"loss": F.mse_loss(v, target)}
        found = self.expert_training.losses((v - target).square().flatten(1).mean(1), self.denoiser.assign(t, lr))
        return found | self.expert_training.balance_loss(self.denoiser, t, lr)

    @torch.no_grad()
    def restore(
        self,
        lr: Tensor,
        num_steps: int = 1,
        seeds: Sequence[int] | None = None,
        prompts: Prompts | None = None,
        guidance: GuidanceTokens | None = None,
    ) -> Tensor:
        """LR [B, 3, h, w] in 0..1, any h, w ≥ 1 -> [B, 3, s·h, s·w] in 0..1.

        num_steps: 1 gives the minimum-error picture, more give texture. seeds: of the noise, one per picture; by default
        from the pictures' content, so that a picture is restored alike in any batch. prompts: for the guidance, one per
        picture; None among them: that one is looked at without. guidance: tokens made before, taken as they are.
        """
        seeds = [seed_of_picture(picture) for picture in lr] if seeds is None else seeds
        _refuse_no_pictures(lr, seeds)
        height, width = (side * self.upscale for side in lr.shape[-2:])
        with torch.autocast(lr.device.type, enabled=False):  # the same tokens as in training and in a cache
            guidance = self._look(lr, lr, prompts, guidance)
        lr_pm1 = 2 * pad_to_multiple(lr, self.lr_multiple) - 1
        times = self.time_grid.times(num_steps)
        with self.memory.begin(self, lr, num_steps, guidance) as fit:
            velocity = self._prepared_velocity(lr_pm1, guidance, times, fit)
            z1 = standard_normal(self._latent_shape(lr_pm1), [generator(seed) for seed in seeds]).to(lr)
            z0 = self.solver.solve(velocity, z1, times)
            del velocity, z1  # decoding may need their room
            image_pm1 = fit.decode(self.autoencoder.decode, z0, lr_pm1)
        return (image_pm1 + 1).div_(2).clamp_(0, 1)[..., :height, :width]

    @torch.no_grad()
    def planned_tiles(
        self, lr: Tensor, num_steps: int, prompts: Prompts | None = None, guidance: GuidanceTokens | None = None
    ) -> Tiles:
        """In which `restore` would do the same pictures; what is set where `memory_gib` is None.

        Raises as `restore` does. With memory_gib="device" taggers and text encoders may give their memory back, as there.
        """
        _refuse_no_pictures(lr, (0,) * len(lr))
        with torch.autocast(lr.device.type, enabled=False):
            guidance = self._look(lr, lr, prompts, guidance)
        return self.memory.tiles(self, lr, num_steps, guidance)

    def velocity(
        self, z_t: Tensor, t: Tensor, lr: Tensor | None = None, guidance: GuidanceTokens | None = None, *, prepared: Any = None
    ) -> Tensor:
        """v [B, C, h, w] at z_t and t [B], from the LR in −1..1 and its guidance or from what `prepare` made of them.

        t: on z_t's device, or on the CPU for a denoiser with `times_on_host`.
        """
        if self.preconditioner is None:
            return self.denoiser(z_t, t, lr, guidance, prepared=prepared)
        scales = self.preconditioner.scales(t)
        c_in, c_skip, c_out = (scale.to(z_t, non_blocking=True).view(-1, 1, 1, 1) for scale in scales)
        return c_skip * z_t + c_out * self.denoiser(c_in * z_t, t, lr, guidance, prepared=prepared)

    def forward(
        self,
        lr: Tensor,
        hr: Tensor | None = None,
        seeds: Sequence[int] | None = None,
        names: Sequence[str] = (),
        datasets: Sequence[str] = (),
        num_steps: int = 1,
        prompts: Prompts | None = None,
        guidance: Mapping[str, Tensor] | None = None,
        mode: str = "tensor",
    ) -> Any:
        """mmengine's entry. mode "loss": losses; "predict": one dict per picture, for metrics; "tensor": pictures.

        guidance: tokens and mask, as `collate_pictures` has them.
        """
        tokens = None if guidance is None else GuidanceTokens(**guidance)
        if mode == "loss":
            if seeds is None:
                raise ConfigError("training draws noise from seeds; set train_dataloader.sampler=dict(type='DrawSampler')")
            return self.loss(SRBatch(lr, tuple(seeds), hr), prompts, tokens)
        start = time.perf_counter()
        restored = self.restore(lr, num_steps, seeds, prompts, tokens)
        if mode == "tensor":
            return restored
        restored = restored.cpu()  # waits for the device, so that the time is the work's
        seconds = (time.perf_counter() - start) / len(lr)
        return [
            {
                "name": names[i],
                "dataset": datasets[i],
                "sr": restored[i].float(),
                "hr": None if hr is None else hr[i].cpu(),
                "lr": lr[i].cpu(),
                "num_steps": num_steps,
                "seconds": seconds,
            }
            for i in range(len(lr))
        ]

    def _draw(self, z0: Tensor, seeds: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Each picture's time and noise from its own seed: t float64 [B], z1 like z0."""
        generators = [generator(seed) for seed in seeds]
        times = self.time_sampler if self.expert_training is None else self.expert_training
        t = torch.cat([times.sample(1, own) for own in generators])
        return t.to(z0.device), standard_normal(z0.shape[1:], generators).to(z0)

    def _look(
        self, lr: Tensor, hr: Tensor, prompts: Prompts | None = None, given: GuidanceTokens | None = None
    ) -> GuidanceTokens | None:
        return told(self.guidance, hr if getattr(self.guidance, "source", "lr") == "hr" else lr, prompts, given)

    def _prepared_velocity(
        self, lr: Tensor, tokens: GuidanceTokens | None, times: Tensor, fit: Unplanned | PlannedTiles
    ) -> Velocity:
        """What a solver follows. Each branch, with guidance and without, is prepared once; the latter where it is used.

        times: on the CPU, and so are those that the velocity is asked at; the denoiser gets them where it wants them, and
        not the last one, at which nothing is left to follow.
        """
        place, guidance = "cpu" if getattr(self.denoiser, "times_on_host", False) else lr.device, self.guidance
        prepare, velocity = partial(fit.denoise, self.denoiser.prepare), partial(fit.denoise, self.velocity)
        asked = times[:-1].to(place)
        prepared = prepare(lr, tokens, asked)

        def conditional(z: Tensor, t: Tensor) -> Tensor:
            return velocity(z, t.to(place), prepared=prepared)

        if self.guider is None or guidance is None:
            return conditional
        branch = cache(lambda: prepare(lr, untold(guidance, len(lr)).to(lr.device), asked))
        assign = (lambda t: self.denoiser.assign(t.to(place), lr)) if self.guider.asks_expert else None
        return guided(self.guider, conditional, lambda z, t: velocity(z, t.to(place), prepared=branch()), assign)

    def _latent_shape(self, lr: Tensor) -> tuple[int, int, int]:
        height, width = (side * self.upscale // self.autoencoder.factor for side in lr.shape[-2:])
        return self.autoencoder.channels, height, width

    def _refuse_illegal_crop(self, batch: SRBatch) -> None:
        if batch.hr is None:
            raise ConfigError("training needs HR pictures; train_dataloader.dataset gives LR only")
        if tuple(batch.hr.shape[-2:]) != tuple(side * self.upscale for side in batch.lr.shape[-2:]):
            raise ShapeError(
                f"HR {list(batch.hr.shape[-2:])} is not {self.upscale} × LR {list(batch.lr.shape[-2:])}; "
                "the pipeline's scale and model.upscale must agree"
            )
        if any(side % self.lr_multiple for side in batch.lr.shape[-2:]):
            raise ShapeError(
                f"the LR crop is {list(batch.lr.shape[-2:])}; wanted multiples of {self.lr_multiple}: "
                f"set RandomCrop.size to a multiple of {self.lr_multiple * self.upscale}"
            )


def _refuse_no_pictures(lr: Tensor, seeds: Sequence[int]) -> None:
    """Raises ShapeError for what is no batch in 0..1 with a seed for each picture."""
    SRBatch(lr, tuple(seeds))
    if not (lr.min() >= -RANGE_SLACK and lr.max() <= 1 + RANGE_SLACK):
        raise ShapeError(f"the LR lies in {lr.min():.4g}..{lr.max():.4g}; wanted 0..1, without NaN")
