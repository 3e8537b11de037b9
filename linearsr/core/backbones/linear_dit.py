"""The backbone: a diffusion transformer on linear attention (LinearSR; the maths is Sana's).

B pictures, C latent channels, (h, w) latent grid, p patch size, N = h/p · w/p tokens, D width.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from linearsr.core.backbones.block import LinearBlock
from linearsr.core.backbones.cross_attention import CrossTokens, GuidanceProjection, check_guidance
from linearsr.core.backbones.modulation import modulated_norm, scale_shift_table
from linearsr.core.backbones.patch_embed import PatchEmbed, SinCosPositions
from linearsr.core.backbones.prepared import Prepared, TimeTables
from linearsr.core.backbones.timestep_embed import TimestepEmbed
from linearsr.core.errors import ConfigError, ShapeError
from linearsr.core.registries import DENOISERS, STEMS
from linearsr.core.structures import GuidanceTokens

Part = Mapping[str, Any]


@DENOISERS.register_module()
class LinearDiT(nn.Module):
    """Denoiser of `depth` blocks; the attention, the feed-forward and the LR stem are parts of their own.

    width, head_width:  D and the width of an attention head, which divides it (Sana: 1152 or 2240, heads of 32)
    lr_stem:            None for a plain text-to-image Sana, which sees no LR picture
    cross_head_width:   of the cross-attention to guidance, head_width by default; guidance_width None: no cross-attention
    cross_qk_norm:      its queries and keys are normalised (Sana-1.5); that of the attention is the attention's own option
    patch_size:         side of the square of latent pixels that is one token
    position_scale:     None for no positional embedding (Sana at 512 and 1024 pixels); else the interpolation scale, with
                        position_base tokens per side as the unit
    zero_init:          the last layer and all gates start at 0, so that F starts at 0 (our choice, for small models)
    activation_checkpointing: in training a block keeps its input alone and is computed again on the way back
    latent_channels, latent_factor, upscale and guidance_width: supplied by the model, from its own parts.
    """

    def __init__(
        self,
        depth: int,
        width: int,
        head_width: int,
        *,
        latent_channels: int,
        attention: Part,
        feed_forward: Part,
        lr_stem: Part | None,
        latent_factor: int = 1,
        upscale: int = 1,
        guidance_width: int | None = None,
        cross_head_width: int | None = None,
        cross_qk_norm: bool = False,
        patch_size: int = 1,
        position_scale: float | None = None,
        position_base: int = 32,
        zero_init: bool = False,
        activation_checkpointing: bool = False,
    ):
        super().__init__()
        if depth < 1 or width < 1 or head_width < 1 or width % head_width:
            raise ConfigError(
                f"LinearDiT: depth={depth}, width={width}, head_width={head_width}; wanted ≥ 1, head_width a divisor of width"
            )
        if latent_factor % upscale:
            raise ConfigError(f"LinearDiT: upscale={upscale} does not divide latent_factor={latent_factor}")
        self.latent_channels, self.patch_size, self.guidance_width = latent_channels, patch_size, guidance_width
        self.activation_checkpointing = activation_checkpointing
        self.lr_stem = None if lr_stem is None else STEMS.build(lr_stem, stride=latent_factor // upscale)
        features = 0 if self.lr_stem is None else self.lr_stem.out_channels
        self.patch_embed = PatchEmbed(latent_channels + features, width, patch_size)
        self.positions = None if position_scale is None else SinCosPositions(width, position_base, position_scale)
        self.time_embed = TimestepEmbed(width)
        self.time_block = nn.Linear(width, 6 * width)
        self.guidance_projection = None if guidance_width is None else GuidanceProjection(guidance_width, width)
        cross = None if guidance_width is None else {"head_width": cross_head_width or head_width, "qk_norm": cross_qk_norm}
        self.blocks = nn.ModuleList(
            LinearBlock(width, width // head_width, attention, feed_forward, cross) for _ in range(depth)
        )
        self.scale_shift_table = scale_shift_table(2, width)
        self.head = nn.Linear(width, latent_channels * patch_size**2)
        if zero_init:
            self._start_at_zero()

    def forward(
        self,
        z_t: Tensor,
        t: Tensor,
        lr: Tensor | None,
        guidance: GuidanceTokens | None,
        *,
        prepared: Prepared | None = None,
    ) -> Tensor:
        """z_t [B, C, h, w]; t float32 or float64 [B] in 0..1; lr [B, 3, H, W] in −1..1 -> [B, C, h, w].

        prepared: what `prepare` made of lr and guidance, which are None then. Raises ShapeError or ConfigError.
        """
        self._check(z_t, t)
        if prepared is None:
            prepared = self.prepare(lr, guidance)
        elif lr is not None or guidance is not None:
            raise ConfigError("LinearDiT got lr or guidance together with prepared, which holds them; pass None for both")
        grid = (z_t.shape[-2] // self.patch_size, z_t.shape[-1] // self.patch_size)
        tables = (prepared.tables and prepared.tables.at(t)) or self.tables(t)
        x = self.embed(z_t, grid, prepared)
        again = self.activation_checkpointing and self.training and torch.is_grad_enabled()
        for block, modulation, cross in zip(self.blocks, tables.blocks, prepared.cross, strict=True):
            inputs = (x, grid, modulation, cross)
            x = checkpoint(block, *inputs, use_reentrant=False) if again else block(*inputs)
        return self.project(x, grid, tables.head)

    def prepare(self, lr: Tensor | None, guidance: GuidanceTokens | None, times: Tensor | None = None) -> Prepared:
        """What does not change over the steps: the LR's share of the tokens with their positions, each block's keys and values
        of the guidance, and the modulation of every time in `times` [T]. A time that is not among them is computed when it
        comes."""
        share, grid = self._look_at(lr)
        return Prepared(
            share,
            grid,
            self._attend_to(guidance, None if lr is None else len(lr)),
            None if times is None else self.tables(times),
        )

    def tables(self, t: Tensor) -> TimeTables:
        """t [T] -> the modulation of every block and of the head."""
        embedded = self.time_embed(t)
        shared = self.time_block(F.silu(embedded))
        head = self.scale_shift_table[:, None] + embedded
        return TimeTables(t, tuple(block.modulation(shared) for block in self._layers), head)

    def embed(self, z_t: Tensor, grid: tuple[int, int], prepared: Prepared) -> Tensor:
        """z_t [B, C, h, w] -> tokens [B, N, D]."""
        if prepared.lr_share is not None and prepared.grid != grid:
            raise ShapeError(
                f"the latent has {grid} tokens and the LR {prepared.grid}; the LR must be padded to the latent's size"
            )
        if prepared.lr_share is not None and len(prepared.lr_share) != len(z_t):
            raise ShapeError(f"z_t is a batch of {len(z_t)} and the LR one of {len(prepared.lr_share)}; wanted one LR each")
        x = self.patch_embed(z_t, prepared.lr_share)
        if self.positions is None or prepared.lr_share is not None:  # the LR's share holds the positions
            return x
        return x + self.positions(grid, x)

    def project(self, x: Tensor, grid: tuple[int, int], modulation: Tensor) -> Tensor:
        """tokens [B, N, D]; modulation [2, B or 1, D] -> [B, C, h, w]."""
        shift, scale = modulation.unbind(0)
        out = self.head(modulated_norm(x, shift, scale))
        p = self.patch_size
        return rearrange(out, "b (h w) (p q c) -> b c (h p) (w q)", h=grid[0], p=p, q=p)

    @property
    def _layers(self) -> list[LinearBlock]:
        return list(self.blocks)  # type: ignore[arg-type]

    def _look_at(self, lr: Tensor | None) -> tuple[Tensor | None, tuple[int, int] | None]:
        if (lr is None) != (self.lr_stem is None):
            stem = "no LR stem, so lr must be None" if self.lr_stem is None else "an LR stem and needs lr, or lr_stem=None"
            raise ConfigError(f"this LinearDiT has {stem}")
        if lr is None or self.lr_stem is None:
            return None, None
        features = self.lr_stem(lr)
        grid = (features.shape[-2] // self.patch_size, features.shape[-1] // self.patch_size)
        share = self.patch_embed.share_of(features)
        return share if self.positions is None else share + self.positions(grid, share), grid

    def _attend_to(self, guidance: GuidanceTokens | None, batch: int | None) -> tuple[CrossTokens | None, ...]:
        if self.guidance_projection is None or guidance is None:
            if guidance is not None:
                raise ConfigError(
                    "this LinearDiT has no cross-attention, but guidance was given; set model.guidance, or pass None"
                )
            return (None,) * len(self.blocks)
        check_guidance(guidance, self.guidance_width or 0, batch or len(guidance.tokens))
        tokens = guidance.tokens.masked_fill(~guidance.mask[..., None], 0)  # 0·NaN is NaN: padding may hold anything
        projected = self.guidance_projection(tokens)
        return tuple(
            block.cross_attention.tokens(projected, guidance.mask)
            for block in self._layers
            if block.cross_attention is not None
        )

    def _check(self, z_t: Tensor, t: Tensor) -> None:
        if z_t.ndim != 4 or z_t.shape[1] != self.latent_channels or t.shape != z_t.shape[:1]:
            raise ShapeError(
                f"z_t is {list(z_t.shape)} and t {list(t.shape)}; wanted [B, {self.latent_channels}, h, w] and [B]"
            )
        if t.dtype not in (torch.float32, torch.float64):
            raise ShapeError(f"t is {t.dtype}; wanted float32 or float64: 16 bits cannot tell two sampling times apart")

    def _start_at_zero(self) -> None:
        """The head, and the gates (rows 2 and 5 of each table and the time block's part of them)."""
        width = self.time_block.in_features
        for parameter in (self.head.weight, self.head.bias):
            nn.init.zeros_(parameter)
        with torch.no_grad():
            for row in (2, 5):
                self.time_block.weight[row * width : (row + 1) * width].zero_()
                self.time_block.bias[row * width : (row + 1) * width].zero_()
                for block in self._layers:
                    block.scale_shift_table[row].zero_()
