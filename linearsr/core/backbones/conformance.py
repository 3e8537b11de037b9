"""Do a denoiser, a feed-forward and an LR stem keep their contracts? `check_denoiser(Mine).require()` raises with the laws broken.

The class may be anybody's: see `Denoiser`, `FeedForward` and `Stem` in `linearsr.core.protocols`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from linearsr.core.backbones.denoiser_trial import DenoiserTrial
from linearsr.core.conformance import ConformanceReport, LawSkipped, close
from linearsr.core.module_laws import EXACT, Trial, builder, hold_module_laws, refused
from linearsr.core.randomness import generator

GRIDS = ((1, 1), (1, 5), (7, 3))
"""One token, one row, odd sides."""


def check_denoiser(
    cls: Callable[..., Any],
    options: Mapping[str, Any] | None = None,
    *,
    latent_channels: int = 4,
    latent_factor: int = 4,
    upscale: int = 2,
    guidance_width: int | None = 6,
    needs_lr: bool = True,
) -> ConformanceReport:
    """Shapes, types, gradients, independence of the batch, what it listens to, and `prepare`.

    cls:            built as the model builds it, from `options` and what the model supplies, each passed if taken
    options:        keys of its own, as in a config
    guidance_width: None for a denoiser without guidance
    needs_lr:       False for one that sees no LR picture
    The others are what the model would supply: latent channels, picture pixels per latent pixel, upscale.
    """
    report = ConformanceReport(getattr(cls, "__name__", str(cls)))
    supplied = {
        "latent_channels": latent_channels,
        "latent_factor": latent_factor,
        "upscale": upscale,
        "guidance_width": guidance_width,
        "log_snr": lambda t: 2 * torch.log((1 - t) / t),
    }
    asked = DenoiserTrial(builder(cls, options, supplied), latent_channels, latent_factor // upscale, guidance_width, needs_lr)
    if not hold_module_laws(report, asked.trial((3, 5))):
        return report
    for grid in GRIDS:
        report.hold(f"the output is the latent's size on {grid[0]}×{grid[1]} tokens", partial(_latent_shape, asked, grid))
    for name in ("z_t", "t", "lr", "guidance"):
        report.hold(f"another {name} gives another output", partial(_listens, asked, name))
    report.hold("prepared is unprepared", lambda: _prepared(asked, None))
    report.hold("prepared with its times is unprepared", lambda: _prepared(asked, asked.times.flip(0)))
    report.hold("a t outside the prepared times is computed, not rounded", lambda: _prepared(asked, asked.times + 1e-3))
    report.hold("what is prepared serves again and again", lambda: _reused(asked))
    report.hold("lr or guidance beside prepared is refused", lambda: _beside(asked))
    report.hold("tokens behind the mask change nothing", lambda: _masked(asked))
    report.hold("a mask that is all False is no guidance", lambda: _unguided(asked))
    report.hold("16-bit times are refused", lambda: refused(lambda: asked.answer(t=asked.times.bfloat16())))
    return report


def check_feed_forward(
    cls: Callable[..., Any], options: Mapping[str, Any] | None = None, *, dim: int = 16, seed: int = 0
) -> ConformanceReport:
    """Shapes, types, gradients, independence of the batch. cls is built as `cls(dim=…, **options)`."""
    report = ConformanceReport(getattr(cls, "__name__", str(cls)))

    def trial(grid: tuple[int, int]) -> Trial:
        x = torch.randn(3, grid[0] * grid[1], dim, generator=generator(seed), dtype=torch.float64)
        return Trial(builder(cls, options, {"dim": dim}), lambda module, x: module(x, grid), x)

    if hold_module_laws(report, trial((5, 3))):
        for grid in GRIDS:
            law = f"tokens in, as many tokens out, on {grid[0]}×{grid[1]} tokens"
            report.hold(law, lambda grid=grid: _shape(trial(grid).output(), trial(grid).x.shape))  # type: ignore[misc]
    return report


def check_stem(
    cls: Callable[..., Any], options: Mapping[str, Any] | None = None, *, strides: tuple[int, ...] = (1, 2, 3, 8), seed: int = 0
) -> ConformanceReport:
    """Sizes at every stride, `out_channels`, types, gradients, independence of the batch. cls is built as `cls(stride=…, **options)`."""
    report = ConformanceReport(getattr(cls, "__name__", str(cls)))

    def trial(stride: int, grid: tuple[int, int]) -> Trial:
        lr = torch.rand(3, 3, grid[0] * stride, grid[1] * stride, generator=generator(seed), dtype=torch.float64) * 2 - 1
        return Trial(builder(cls, options, {"stride": stride}), lambda module, x: module(x), lr)

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
    return report


def _shape(out: Tensor, wanted: tuple[int, ...]) -> None:
    if out.shape != wanted or not bool(out.isfinite().all()):
        raise AssertionError(f"the output is {list(out.shape)}, finite: {bool(out.isfinite().all())}; wanted {list(wanted)}")


def _latent_shape(asked: DenoiserTrial, grid: tuple[int, int]) -> None:
    trial = asked.trial(grid)
    _shape(trial.output(), trial.x.shape)


def _needs(asked: DenoiserTrial, name: str) -> None:
    if (name == "lr" and not asked.needs_lr) or (name == "guidance" and asked.guidance_width is None):
        raise LawSkipped(f"tried without {name}")


def _listens(asked: DenoiserTrial, name: str) -> str:
    _needs(asked, name)
    changes: dict[str, Callable[[], dict[str, Any]]] = {
        "z_t": lambda: {"z": asked.z.flip(0)},
        "t": lambda: {"t": asked.times.flip(0)},
        "lr": lambda: {"lr": asked.lr.flip(0)},
        "guidance": lambda: {"guidance": asked.words(asked.tokens.flip(2))},
    }
    plain, changed = asked.answer(), asked.answer(**changes[name]())
    # the middle of the batch stays where it is when the batch is turned round
    moved = (changed - plain).abs().amax((1, 2, 3)) / plain.abs().max()
    if not moved.median().item() > 1e-6:
        raise AssertionError(f"a change of {name} changed the output by {moved.median():.1e} of its largest value")
    return f"by {moved.median():.1e} of the largest value"


def _prepared(asked: DenoiserTrial, times: Tensor | None) -> str:
    module: Any = asked.module
    with torch.no_grad():
        prepared = module.prepare(asked.given_lr, asked.given_guidance, times)
        got = module(asked.z, asked.times, None, None, prepared=prepared)
        one_time = torch.full_like(asked.times, asked.times[3].item())
        together = module(asked.z, one_time, None, None, prepared=prepared)
    each = close("each its own time", got, asked.answer(), EXACT)
    return f"{each}; {close('one time for all', together, asked.answer(t=one_time), EXACT)}"


def _reused(asked: DenoiserTrial) -> str:
    module: Any = asked.module
    with torch.no_grad():
        prepared = module.prepare(asked.given_lr, asked.given_guidance, asked.times)
        first, _, again = (module(z, asked.times, None, None, prepared=prepared) for z in (asked.z, 2 * asked.z, asked.z))
    return close("again", again, first, 0)


def _beside(asked: DenoiserTrial) -> str:
    module: Any = asked.module
    prepared = module.prepare(asked.given_lr, asked.given_guidance, None)
    given = [(asked.given_lr, None), (None, asked.given_guidance)]
    ask = [partial(module, asked.z, asked.times, lr, words, prepared=prepared) for lr, words in given if lr is not words]
    return "; ".join(refused(attempt) for attempt in ask)


def _masked(asked: DenoiserTrial) -> str:
    _needs(asked, "guidance")
    hidden = torch.where(asked.mask[..., None], asked.tokens, 100 * asked.tokens + 7)
    return close("output", asked.answer(guidance=asked.words(hidden)), asked.answer(), EXACT)


def _unguided(asked: DenoiserTrial) -> str:
    _needs(asked, "guidance")
    silent = asked.answer(guidance=asked.words(asked.tokens, torch.zeros_like(asked.mask)))
    return close("output", silent, asked.answer(guidance=None), 0)
