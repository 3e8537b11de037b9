"""The backbone: a diffusion transformer on linear attention (LinearSR; the maths is Sana's).

B pictures, C latent channels, (h, w) latent grid, p patch size, N = h/p · w/p tokens, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from linearsr.core.backbones.block import LinearBlock, attention_of_each_block
from linearsr.core.backbones.cross_attention import CrossTokens, GuidanceProjection, check_guidance, without_padding
from linearsr.core.backbones.cuda_graphs import Evaluations
from linearsr.core.backbones.modulation import modulated_norm, scale_shift_table
from linearsr.core.backbones.patch_embed import PatchEmbed, SinCosPositions
from linearsr.core.backbones.prepared import Prepared, TimeTables
from linearsr.core.backbones.tiling import (
    Area,
    Sweep,
    TokenBuffer,
    features_of_tiles,
    plan_of,
    require_additive,
    tile_shape,
)
from linearsr.core.backbones.timestep_embed import TimestepEmbed
from linearsr.core.errors import ConfigError, ShapeError
from linearsr.core.registries import DENOISERS, STEMS
from linearsr.core.structures import Grid, GuidanceTokens
from linearsr.core.values import require_bool, require_count, require_positive

Part = Mapping[str, Any]


@DENOISERS.register_module()
class LinearDiT(nn.Module):
    """Denoiser of `depth` blocks; the attention, the feed-forward and the LR stem are parts of their own.

    attention:          of every block, or a list of them that is repeated over the blocks
    width, head_width:  D and the width of an attention head, which divides it (Sana: 1152 or 2240, heads of 32)
    lr_stem:            None for a plain text-to-image Sana, which sees no LR picture
    cross_head_width:   of the cross-attention to guidance, head_width by default; guidance_width None: no cross-attention
    cross_qk_norm:      its queries and keys are normalised (Sana-1.5); that of the attention is the attention's own option
    patch_size:         side of the square of latent pixels that is one token
    position_scale:     None for no positional embedding (Sana at 512 and 1024 pixels); else the interpolation scale, with
                        position_base tokens per side as the unit
    zero_init:          the last layer and all gates start at 0, so that F starts at 0 (our choice, for small models)
    activation_checkpointing: in training a block keeps its input alone and is computed again on the way back
    tile:               tokens per side, or (rows, columns) of them: without gradients, a picture of more tokens is computed in
                        tiles of at most that size, exactly, and its activations wait in host memory. Training, where
                        gradients are recorded, computes it whole. Needs additive attention
    cuda_graphs:        on a CUDA device, without gradients and without tiles, an evaluation is recorded for each shape at its
                        first use and replayed from then on. Elsewhere there are no graphs, and nothing is recorded
    latent_channels, latent_factor, upscale and guidance_width: supplied by the model, from its own parts.
    """

    def __init__(
        self,
        depth: int,
        width: int,
        head_width: int,
        *,
        latent_channels: int,
        attention: Part | Sequence[Part],
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
        tile: int | Sequence[int] | None = None,
        cuda_graphs: bool = False,
    ):
        super().__init__()
        cross_head_width = head_width if cross_head_width is None else cross_head_width
        sizes = {"depth": depth, "width": width, "head_width": head_width, "cross_head_width": cross_head_width}
        for key, size in (sizes | {"patch_size": patch_size, "position_base": position_base}).items():
            require_count(size, f"denoiser.{key}")
        switches = {
            "cross_qk_norm": cross_qk_norm,
            "zero_init": zero_init,
            "activation_checkpointing": activation_checkpointing,
            "cuda_graphs": cuda_graphs,
        }
        for key, switch in switches.items():
            require_bool(switch, f"denoiser.{key}")
        if position_scale is not None:
            require_positive(position_scale, "denoiser.position_scale")
        if width % head_width:
            raise ConfigError(f"denoiser.head_width is {head_width}; wanted a divisor of denoiser.width={width}; change either")
        if latent_factor % upscale:
            raise ConfigError(f"LinearDiT: upscale={upscale} does not divide latent_factor={latent_factor}")
        self.latent_channels, self.patch_size, self.guidance_width = latent_channels, patch_size, guidance_width
        self.width, self.stride = width, latent_factor // upscale
        self.activation_checkpointing = activation_checkpointing
        self.recorded = Evaluations() if cuda_graphs else None
        self.register_load_state_dict_post_hook(_forget_recordings)
        self.lr_stem = None if lr_stem is None else STEMS.build(lr_stem, stride=self.stride)
        features = 0 if self.lr_stem is None else self.lr_stem.out_channels
        self.patch_embed = PatchEmbed(latent_channels + features, width, patch_size)
        self.positions = None if position_scale is None else SinCosPositions(width, position_base, position_scale)
        self.time_embed = TimestepEmbed(width)
        self.time_block = nn.Linear(width, 6 * width)
        self.guidance_projection = None if guidance_width is None else GuidanceProjection(guidance_width, width)
        cross = None if guidance_width is None else {"head_width": cross_head_width, "qk_norm": cross_qk_norm}
        self.blocks = nn.ModuleList(
            LinearBlock(width, width // head_width, own, feed_forward, cross, layer)
            for layer, own in enumerate(attention_of_each_block(attention, depth))
        )
        self.tile = tile
        self.scale_shift_table = scale_shift_table(2, width)
        self.head = nn.Linear(width, latent_channels * patch_size**2)
        if zero_init:
            self._start_at_zero()

    times_on_host = True

    def forward(
        self,
        z_t: Tensor,
        t: Tensor,
        lr: Tensor | None,
        guidance: GuidanceTokens | None,
        *,
        prepared: Prepared | None = None,
    ) -> Tensor:
        """z_t [B, C, h, w]; t float32 or float64 [B] in 0..1, here or on the CPU; lr [B, 3, H, W] in −1..1 -> [B, C, h, w].

        prepared: what `prepare` made of lr and guidance, which are None then. Raises ShapeError or ConfigError.
        """
        self._check(z_t, t)
        if prepared is None:
            prepared = self.prepare(lr, guidance)
        elif lr is not None or guidance is not None:
            raise ConfigError("LinearDiT got lr or guidance together with prepared, which holds them; pass None for both")
        grid = self.patch_embed.grid_of(z_t)
        self._check_prepared(prepared, grid, len(z_t))
        tables = (prepared.tables and prepared.tables.at(t)) or self.tables(t)
        plan = plan_of(grid, self.tile, self.blocks, self.head.weight.device)
        if plan is not None:
            return Sweep(self, plan).velocity(z_t, tables, prepared)
        if self.recorded is not None and z_t.is_cuda and not torch.is_grad_enabled():
            return self.recorded(self.evaluate, z_t, tables, prepared)
        return self.evaluate(z_t, tables, prepared)

    def evaluate(self, z_t: Tensor, tables: TimeTables, prepared: Prepared) -> Tensor:
        """The whole picture's [B, C, h, w] at the times of `tables`, one or B; it looks at no values."""
        grid = self.patch_embed.grid_of(z_t)
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
        """t [T], here or on the CPU -> the modulation of every block and of the head."""
        embedded = self.time_embed(t)
        shared = self.time_block(F.silu(embedded))
        head = self.scale_shift_table[:, None] + embedded
        return TimeTables(t, tuple(block.modulation(shared) for block in self.layers), head)

    def embed(self, z_t: Tensor, grid: Grid, prepared: Prepared, area: Area | None = None) -> Tensor:
        """z_t [B, C, h, w] -> tokens [B, N, D].

        grid: of the whole picture; area: the part of it that z_t is, by default all.
        """
        area = area or Area.whole(grid)
        if prepared.lr_share is not None:  # it holds the positions
            return self.patch_embed(z_t, prepared.lr_share.read(area, z_t.device))
        x = self.patch_embed(z_t)
        return x if self.positions is None else x + self.positions(grid, x, area)

    def project(self, x: Tensor, grid: tuple[int, int], modulation: Tensor) -> Tensor:
        """tokens [B, N, D]; modulation [2, B or 1, D] -> [B, C, h, w]."""
        shift, scale = modulation.unbind(0)
        out = self.head(modulated_norm(x, shift, scale))
        p = self.patch_size
        return rearrange(out, "b (h w) (p q c) -> b c (h p) (w q)", h=grid[0], p=p, q=p)

    @property
    def tile(self) -> Grid | None:
        """Rows and columns of tokens. Set it as in a config, at any time. Raises ConfigError."""
        return self._tile

    @tile.setter
    def tile(self, tile: int | Sequence[int] | None) -> None:
        shape = tile_shape(tile)
        if shape is not None:
            require_additive(self.blocks)
        self._tile = shape

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> LinearDiT:
        """Of torch's `to` and its like."""
        _forget_recordings(self)
        return super()._apply(fn, recurse)

    @property
    def layers(self) -> list[LinearBlock]:
        return list(self.blocks)  # type: ignore[arg-type]

    def _look_at(self, lr: Tensor | None) -> tuple[TokenBuffer | None, Grid | None]:
        if (lr is None) != (self.lr_stem is None):
            stem = "no LR stem, so lr must be None" if self.lr_stem is None else "an LR stem and needs lr, or lr_stem=None"
            raise ConfigError(f"this LinearDiT has {stem}")
        if lr is None or self.lr_stem is None:
            return None, None
        height, width = (side // self.stride // self.patch_size for side in lr.shape[-2:])
        plan = plan_of((height, width), self.tile, self.blocks, self.head.weight.device)
        if plan is not None:
            grid = plan.picture.grid
            found = features_of_tiles(self.lr_stem, lr, plan, self.stride, self.patch_size)
            return plan.collect((tile, self._lr_share(features, tile, grid)) for tile, features in found), grid
        features = self.lr_stem(lr)
        whole = Area.whole(self.patch_embed.grid_of(features))
        return TokenBuffer.of(self._lr_share(features, whole, whole.grid), whole), whole.grid

    def _lr_share(self, features: Tensor, area: Area, grid: Grid) -> Tensor:
        """features [B, F, h, w] of `area` -> the LR's share of its tokens, with their positions [B, n, D]."""
        share = self.patch_embed.share_of(features)
        return share if self.positions is None else share + self.positions(grid, share, area)

    def _attend_to(self, guidance: GuidanceTokens | None, batch: int | None) -> tuple[CrossTokens | None, ...]:
        if self.guidance_projection is None or guidance is None:
            if guidance is not None:
                raise ConfigError(
                    "this LinearDiT has no cross-attention, but guidance was given; set model.guidance, or pass None"
                )
            return (None,) * len(self.blocks)
        check_guidance(guidance, self.guidance_width or 0, batch or len(guidance.tokens))
        tokens, mask = without_padding(guidance)
        projected = self.guidance_projection(tokens)
        return tuple(
            block.cross_attention.tokens(projected, mask) for block in self.layers if block.cross_attention is not None
        )

    def _check(self, z_t: Tensor, t: Tensor) -> None:
        if z_t.ndim != 4 or z_t.shape[1] != self.latent_channels or t.shape != z_t.shape[:1]:
            raise ShapeError(
                f"z_t is {list(z_t.shape)} and t {list(t.shape)}; wanted [B, {self.latent_channels}, h, w] and [B]"
            )
        if t.dtype not in (torch.float32, torch.float64):
            raise ShapeError(f"t is {t.dtype}; wanted float32 or float64: 16 bits cannot tell two sampling times apart")

    def _check_prepared(self, prepared: Prepared, grid: Grid, batch: int) -> None:
        if prepared.lr_share is None:
            return
        if prepared.grid != grid:
            raise ShapeError(
                f"the latent has {grid} tokens and the LR {prepared.grid}; the LR must be padded to the latent's size"
            )
        if prepared.lr_share.batch != batch:
            raise ShapeError(f"z_t is a batch of {batch} and the LR one of {prepared.lr_share.batch}; wanted one LR each")

    def _start_at_zero(self) -> None:
        """The head, and the gates (rows 2 and 5 of each table and the time block's part of them)."""
        width = self.time_block.in_features
        for parameter in (self.head.weight, self.head.bias):
            nn.init.zeros_(parameter)
        with torch.no_grad():
            for row in (2, 5):
                self.time_block.weight[row * width : (row + 1) * width].zero_()
                self.time_block.bias[row * width : (row + 1) * width].zero_()
                for block in self.layers:
                    block.scale_shift_table[row].zero_()


def _forget_recordings(model: LinearDiT, *_: Any) -> None:
    """The weights may lie elsewhere now."""
    if model.recorded is not None:
        model.recorded.forget()
