"""What each picture of a batch is told: tokens that came with it, or that the model's guidance gives; sometimes none.

B pictures; tokens [B, L, D] with mask [B, L], where L is that of the picture which is told most.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from linearsr.core.errors import ConfigError, DataError, ShapeError
from linearsr.core.protocols import Guidance
from linearsr.core.randomness import generator, mix_seed
from linearsr.core.structures import GuidanceTokens

STREAM: Final = 102
"""Of a picture's seed, for the draw that drops its guidance; time and noise take numbers of the seed itself."""

Prompts = Sequence[str | None]
"""One for each picture; None: it is looked at as if there were no prompts."""


def told(
    guidance: Guidance | None, image_01: Tensor, prompts: Prompts | None = None, given: GuidanceTokens | None = None
) -> GuidanceTokens | None:
    """The tokens of pictures [B, 3, H, W] on their device: `given`, or what `guidance` makes of pictures and prompts.

    Raises ConfigError for words or tokens that nobody reads, both at once, and tokens of another width than the guidance's;
    ShapeError for another number of them, or none; DataError for NaN and Inf.
    """
    if guidance is None:
        if prompts is not None:
            raise ConfigError("prompts were given, but model.guidance is None; choose a guidance that reads them")
        if given is not None:
            raise ConfigError("guidance tokens were given, but model.guidance is None; set it to what they were made by")
        return None
    if isinstance(prompts, str):
        raise ConfigError(f"prompts is one text, {prompts!r:.80}; wanted a list with one for each picture")
    if given is None:
        return _answers(guidance, image_01, prompts).to(image_01.device)
    if prompts is not None:
        raise ConfigError("prompts and guidance tokens were given; pass either of the two")
    if given.width != guidance.width:
        raise ConfigError(
            f"guidance tokens are {given.width} wide, and those of model.guidance, {type(guidance).__name__}, are "
            f"{guidance.width}: they are another guidance's; make them with this one"
        )
    if len(given.tokens) != len(image_01):
        raise ShapeError(f"guidance tokens were given for {len(given.tokens)} pictures, and there are {len(image_01)}")
    if not given.tokens.shape[1]:
        raise ShapeError("guidance has no tokens (L = 0); to say nothing about a picture pass one token with mask False")
    if not bool(given.tokens[given.mask].isfinite().all()):
        raise DataError("guidance tokens hold NaN or Inf; make them again")
    return given.to(image_01.device)


def untold(guidance: Guidance, batch: int) -> GuidanceTokens:
    """What stands for no guidance in use: `negative` where the guidance has it, else `null`."""
    return GuidanceTokens.of(getattr(guidance, "negative", guidance.null)(batch))


def with_drops(
    given: GuidanceTokens | None, guidance: Guidance | None, probability: float, seeds: Sequence[int]
) -> GuidanceTokens | None:
    """Each picture's tokens or, with that probability, `null`'s. Its seed alone decides; at 0 nothing is drawn."""
    if given is None or guidance is None:
        return None
    kept = torch.tensor([not _drops(probability, seed) for seed in seeds], device=given.mask.device)
    if bool(kept.all()):
        return given
    dropped = GuidanceTokens.of(guidance.null(int((~kept).sum())))
    return merged(kept, GuidanceTokens(given.tokens[kept], given.mask[kept]), dropped)


def merged(rows: Tensor, here: GuidanceTokens, elsewhere: GuidanceTokens) -> GuidanceTokens:
    """`here` where rows, bool [B], is True, `elsewhere` in the other rows, each in its order and in the type of `here`.

    The shorter are filled up with zeros under mask False.
    """
    length = max(here.tokens.shape[1], elsewhere.tokens.shape[1])
    tokens = here.tokens.new_zeros(len(rows), length, here.width)
    mask = here.mask.new_zeros(len(rows), length)
    for own, part in ((rows, here), (~rows, elsewhere)):
        tokens[own, : part.tokens.shape[1]] = part.tokens.to(tokens)
        mask[own, : part.tokens.shape[1]] = part.mask.to(mask)
    return GuidanceTokens(tokens, mask)


def _drops(probability: float, seed: int) -> bool:
    return probability > 0 and float(torch.rand((), generator=generator(mix_seed(seed, STREAM)))) < probability


def _answers(guidance: Guidance, image_01: Tensor, prompts: Prompts | None) -> GuidanceTokens:
    words = [] if prompts is None else [prompt for prompt in prompts if prompt is not None]
    if prompts is None or not words:
        return GuidanceTokens.of(guidance(image_01))
    if len(words) == len(prompts):
        return GuidanceTokens.of(guidance(image_01, words))
    if len(prompts) != len(image_01):
        raise ShapeError(f"{len(prompts)} prompts for {len(image_01)} pictures; wanted one for each")
    rows = torch.tensor([prompt is not None for prompt in prompts], device=image_01.device)
    asked, looked_at = guidance(image_01[rows], words), guidance(image_01[~rows])
    return merged(rows, GuidanceTokens.of(asked), GuidanceTokens.of(looked_at))
