"""Laws of guidance that reads prompts: one text for each picture, and any text."""

from __future__ import annotations

import torch
from torch import Tensor

from linearsr.core.conformance import REFUSALS, LawSkippedError, close, refused
from linearsr.core.protocols import Guidance
from linearsr.core.structures import GuidanceTokens

PLAIN = "a red brick wall"
UNUSUAL = ("", " \n\t", "猫と犬, кошка, قطة", "👩‍👩‍👧 {user} {{ }} %s \\n", "word " * 10_000, ", ".join(map(str, range(5_000))))
"""Nothing, blanks, other scripts, what templates are made of, 10,000 words, 5,000 tags."""


def require_read_or_refused(guidance: Guidance, image: Tensor) -> str:
    try:
        told = guidance(image, [PLAIN] * len(image))
    except REFUSALS as error:
        return f"refused: {error}"
    plain = _without_prompts(guidance, image)
    if plain is not None and told.tokens.shape == plain.tokens.shape and torch.equal(told.tokens, plain.tokens):
        raise AssertionError("a prompt was accepted and changed nothing; use it, or raise a ValueError")
    return "read"


def require_own(guidance: Guidance, image: Tensor, tolerance: float) -> str:
    """Each picture is told its own prompt and no other's."""
    _skip_unless_read(guidance, image)
    prompts = [f"{PLAIN} and {i} bicycles" for i in range(len(image))]
    together = guidance(image, prompts)
    alone = [guidance(image[i : i + 1], prompts[i : i + 1]) for i in range(len(image))]
    return "; ".join(same_words(together, i, alone[i], tolerance) for i in range(len(image)))


def require_counted(guidance: Guidance, image: Tensor) -> str:
    """Too few, too many, and one text that is no list though it has as many letters as there are pictures."""
    _skip_unless_read(guidance, image)
    for prompts in ([PLAIN] * (len(image) - 1), [PLAIN] * (len(image) + 1), "x" * len(image)):
        said = refused(lambda prompts=prompts: guidance(image, prompts))  # type: ignore[misc]
    return said


def require_unusual_answered(guidance: Guidance, image: Tensor) -> str:
    _skip_unless_read(guidance, image)
    counted = []
    for prompt in UNUSUAL:
        given = guidance(image, [prompt] * len(image))
        if len(given.tokens) != len(image) or not bool(given.tokens.isfinite().all()):
            raise AssertionError(f"{prompt[:20]!r} gave {list(given.tokens.shape)}; wanted finite tokens for each picture")
        counted.append(int(given.mask[0].sum()))
    return f"{counted} words"


def same_words(together: GuidanceTokens, i: int, alone: GuidanceTokens, tolerance: float) -> str:
    """What the mask hides is padding and may differ."""
    return close("words", together.tokens[i][together.mask[i]], alone.tokens[0][alone.mask[0]], tolerance)


def _without_prompts(guidance: Guidance, image: Tensor) -> GuidanceTokens | None:
    """None from one that has nothing else to tell and says so."""
    try:
        return guidance(image)
    except REFUSALS:
        return None


def _skip_unless_read(guidance: Guidance, image: Tensor) -> None:
    try:
        guidance(image, [PLAIN] * len(image))
    except REFUSALS as error:
        raise LawSkippedError("it reads no prompts") from error
