"""Do a denoiser, a feed-forward and an LR stem keep their contracts? `check_denoiser(Mine).require()` raises if not.

The class may be anybody's: see `Denoiser`, `FeedForward` and `Stem` in `linearsr.core.protocols`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from linearsr.core.backbones.question import Question, question
from linearsr.core.backbones.tiling import Area, TokenBuffer, features_of
from linearsr.core.conformance import ConformanceReport, LawSkippedError, close, refused
from linearsr.core.module_laws import hold_module_laws
from linearsr.core.randomness import generator
from linearsr.core.structures import Grid, GuidanceTokens
from linearsr.core.trial import EXACT, Trial, builder

GRIDS: tuple[Grid, ...] = ((1, 1), (1, 5), (7, 3))
"""One token, one row, odd sides."""
TILE: Grid = (2, 3)
"""Small enough that a halo too small shows, on a grid that it does not divide."""
AUDIBLE = 1e-6
"""What an input must at least change, of the output's largest value: far over float64's rounding, far under any real use."""


def check_denoiser(
    cls: Callable[..., Any],
    options: Mapping[str, Any] | None = None,
    *,
    latent_channels: int = 4,
    latent_factor: int = 4,
    upscale: int = 2,
    guidance_width: int | None = 6,
    needs_lr: bool = True,
    patch_size: int = 1,
) -> ConformanceReport:
    """Shapes, types, gradients, independence of the batch, what it listens to, and `prepare`.

    cls:            built as the model builds it, from `options` and what the model supplies, each passed if taken
    options:        keys of its own, as in a config
    guidance_width: None for a denoiser without guidance; needs_lr: False for one that sees no LR picture
    patch_size:     latent pixels per token and side
    latent_channels, latent_factor, upscale: what the model would supply
    """
    report = ConformanceReport(getattr(cls, "__name__", str(cls)))
    supplied = {
        "latent_channels": latent_channels,
        "latent_factor": latent_factor,
        "upscale": upscale,
        "guidance_width": guidance_width,
        "log_snr": lambda t: 2 * torch.log((1 - t) / t),
    }
    build = builder(cls, options, supplied)

    def asked(grid: Grid) -> Question:
        size = (grid[0] * patch_size, grid[1] * patch_size)
        return question(size, latent_channels, latent_factor // upscale, guidance_width, needs_lr)

    whole = asked((3, 5))
    trial = whole.trial(build)
    if not hold_module_laws(report, trial):
        return report
    module = trial.module()
    for grid in GRIDS:
        law = f"the output is the latent's size on {grid[0]}×{grid[1]} tokens"
        report.hold(law, partial(_latent_shape, module, asked(grid)))
    for name in ("z", "t", "lr", "guidance"):
        report.hold(f"another {name} gives another output", partial(_listens, module, whole, name))
    times = {
        "prepared is unprepared": None,
        "prepared with its times is unprepared": whole.t.flip(0),
        "a t outside the prepared times is computed, not rounded": (0.997 * whole.t + 0.0011).float(),  # none is a 16th
    }
    for law, prepared_times in times.items():
        report.hold(law, partial(_prepared, module, whole, prepared_times))
    report.hold("what is prepared serves again and again", lambda: _reused(module, whole))
    report.hold("lr or guidance beside prepared is refused", lambda: _beside(module, whole))
    report.hold("tokens behind the mask change nothing", lambda: _masked(module, whole))
    report.hold("a mask that is all False is no guidance", lambda: _unguided(module, whole))
    report.hold("16-bit times are refused", lambda: refused(lambda: replace(whole, t=whole.t.bfloat16()).ask(module)))
    return report


def check_feed_forward(
    cls: Callable[..., Any], options: Mapping[str, Any] | None = None, *, dim: int = 16, seed: int = 0
) -> ConformanceReport:
    """Shapes, types, gradients, independence of the batch, `halo` where declared. cls is built as `cls(dim=…, **options)`."""
    report = ConformanceReport(getattr(cls, "__name__", str(cls)))

    def trial(grid: Grid) -> Trial:
        x = torch.randn(3, grid[0] * grid[1], dim, generator=generator(seed), dtype=torch.float64)
        return Trial(builder(cls, options, {"dim": dim}), lambda module, x: module(x, grid), x)

    def same_shape(grid: Grid) -> None:
        asked = trial(grid)
        _shape(asked.output(), asked.x.shape)

    if hold_module_laws(report, trial((5, 3))):
        for grid in GRIDS:
            report.hold(f"tokens in, as many tokens out, on {grid[0]}×{grid[1]} tokens", partial(same_shape, grid))
        report.hold("declared halo: a tile with it gives what the whole gives", lambda: _tokens_of_tiles(trial((7, 8)), (7, 8)))
    return report


def check_stem(
    cls: Callable[..., Any],
    options: Mapping[str, Any] | None = None,
    *,
    strides: tuple[int, ...] = (2, 1, 3, 8),
    seed: int = 0,
) -> ConformanceReport:
    """Sizes at every stride, `out_channels`, types, gradients, independence of the batch, and `halo` where declared.

    cls is built as `cls(stride=…, **options)`, stride being LR pixels per latent pixel and side; the laws of every module
    are held at the first of `strides`.
    """
    report = ConformanceReport(getattr(cls, "__name__", str(cls)))

    def trial(stride: int, grid: Grid) -> Trial:
        noise = torch.randn(3, 3, grid[0] * stride, grid[1] * stride, generator=generator(seed), dtype=torch.float64)
        return Trial(builder(cls, options, {"stride": stride}), lambda module, lr: module(lr), noise.tanh())

    def features(stride: int) -> None:
        for grid in GRIDS:
            asked = trial(stride, grid)
            channels: Any = getattr(asked.module(), "out_channels", None)
            if not isinstance(channels, int):
                raise AssertionError(f"out_channels is {channels!r}; wanted how many channels it gives")
            _shape(asked.output(), (3, channels, *grid))

    if hold_module_laws(report, trial(strides[0], (4, 6))):
        for stride in strides:
            report.hold(f"out_channels features on the latent grid at stride {stride}", partial(features, stride))
            law = f"declared halo: a tile with it gives what the whole gives at stride {stride}"
            report.hold(law, partial(_features_of_tiles, trial(stride, (7, 8)), stride))
    return report


def _shape(out: Tensor, wanted: tuple[int, ...]) -> None:
    if out.shape != wanted or not bool(out.isfinite().all()):
        raise AssertionError(f"the output is {list(out.shape)}, finite: {bool(out.isfinite().all())}; wanted {list(wanted)}")


def _declared_halo(module: Any) -> int:
    if not hasattr(module, "halo"):
        raise LawSkippedError("none is declared, so it works on whole pictures only")
    if not isinstance(module.halo, int) or module.halo < 0:
        raise AssertionError(f"halo is {module.halo!r}; wanted a whole number ≥ 0")
    return module.halo


@torch.no_grad()
def _tokens_of_tiles(asked: Trial, grid: Grid) -> str:
    module, x, picture = asked.module(), asked.x, Area.whole(grid)
    halo, whole = _declared_halo(module), TokenBuffer.of(asked.output(), picture)

    def alone(tile: Area) -> Tensor:
        around = tile.grown(halo, picture)
        return tile.cut_tokens(module(around.cut_tokens(x, picture), around.grid), around)

    tiles = picture.split(TILE)
    joined = TokenBuffer.collect(((tile, alone(tile)) for tile in tiles), picture, x.device, pinned=False)
    return close(f"{len(tiles)} tiles with a halo of {halo}", joined.values, whole.values, EXACT)


@torch.no_grad()
def _features_of_tiles(asked: Trial, stride: int) -> str:
    stem, lr = asked.module(), asked.x
    halo, whole = _declared_halo(stem), asked.output()
    tiles = Area(0, whole.shape[-2], 0, whole.shape[-1]).split(TILE)
    joined = torch.empty_like(whole)
    for tile in tiles:
        tile.cut(joined).copy_(features_of(stem, lr, tile, stride))
    return close(f"{len(tiles)} tiles with a halo of {halo}", joined, whole, EXACT)


def _latent_shape(module: Any, asked: Question) -> None:
    _shape(asked.ask(module), asked.z.shape)


def _words(asked: Question) -> GuidanceTokens:
    if asked.guidance is None:
        raise LawSkippedError("tried without guidance")
    return asked.guidance


def _listens(module: Any, asked: Question, name: str) -> str:
    """The picture in the middle of a turned batch keeps its own input, so the median picture must change."""
    plain = asked.ask(module)
    change = (asked.turned(name).ask(module) - plain).abs().amax((1, 2, 3)).median() / plain.abs().max()
    if not change > AUDIBLE:
        raise AssertionError(f"it changed the output by {change:.1e} of its largest value")
    return f"by {change:.1e} of the largest value"


def _prepared(module: Any, asked: Question, times: Tensor | None) -> str:
    one_time = replace(asked, t=torch.full_like(asked.t, asked.t[3].item()))
    with torch.no_grad():
        prepared = module.prepare(asked.lr, asked.guidance, times)
        each, together = (module(q.z, q.t, None, None, prepared=prepared) for q in (asked, one_time))
    figure = close("each its own time", each, asked.ask(module), EXACT)
    return f"{figure}; {close('one time for all', together, one_time.ask(module), EXACT)}"


def _reused(module: Any, asked: Question) -> str:
    with torch.no_grad():
        prepared = module.prepare(asked.lr, asked.guidance, asked.t)
        latents = (asked.z, 2 * asked.z, asked.z)
        first, _, again = (module(z, asked.t, None, None, prepared=prepared) for z in latents)
    return close("again", again, first, 0)


def _beside(module: Any, asked: Question) -> None:
    prepared = module.prepare(asked.lr, asked.guidance, None)
    if asked.lr is None and asked.guidance is None:
        raise LawSkippedError("tried without either")
    if asked.lr is not None:
        refused(lambda: module(asked.z, asked.t, asked.lr, None, prepared=prepared))
    if asked.guidance is not None:
        refused(lambda: module(asked.z, asked.t, None, asked.guidance, prepared=prepared))


def _masked(module: Any, asked: Question) -> str:
    words = _words(asked)
    hidden = torch.where(words.mask[..., None], words.tokens, 100 * words.tokens + 7)
    return close("output", replace(asked, guidance=GuidanceTokens(hidden, words.mask)).ask(module), asked.ask(module), EXACT)


def _unguided(module: Any, asked: Question) -> str:
    words = _words(asked)
    silent = replace(asked, guidance=GuidanceTokens(words.tokens, torch.zeros_like(words.mask)))
    return close("output", silent.ask(module), replace(asked, guidance=None).ask(module), 0)
