"""Does a guidance keep its contract? `check_guidance(mine).require()` raises with the laws broken."""

from __future__ import annotations

import torch
from torch import Tensor

from linearsr.core.conformance import ConformanceReport, LawSkippedError, close
from linearsr.core.errors import LinearSRError
from linearsr.core.protocols import Guidance
from linearsr.core.randomness import generator
from linearsr.core.structures import GuidanceTokens


def check_guidance(guidance: Guidance, image_01: Tensor | None = None, *, tolerance: float = 1e-5) -> ConformanceReport:
    """Shapes, masks, null, determinism, independence of the batch.

    image_01:  float [B, 3, H, W] in 0..1, B ≥ 2, to look at; seeded noise where None
    tolerance: between a picture alone and in a batch, relative to the largest token
    """
    report = ConformanceReport(type(guidance).__name__)
    image = torch.rand(3, 3, 32, 48, generator=generator(0)) if image_01 is None else image_01
    batch = len(image)

    def shapes() -> None:
        given = guidance(image)
        if given.tokens.shape[::2] != (batch, guidance.width) or not given.tokens.is_floating_point():
            raise AssertionError(
                f"tokens are {given.tokens.dtype} {list(given.tokens.shape)}; wanted float [{batch}, L, {guidance.width}]"
            )
        if not bool(given.tokens.isfinite().all()):
            raise AssertionError("tokens are not finite, behind the mask or before it; 0 × NaN is NaN in cross-attention")

    def null() -> None:
        for size in (1, 5):
            empty = guidance.null(size)
            if empty.tokens.shape != (size, 1, guidance.width) or not bool(empty.mask.all()):
                raise AssertionError(
                    f"null({size}) is {list(empty.tokens.shape)}; wanted [{size}, 1, {guidance.width}], mask True"
                )
            if not torch.equal(empty.tokens, empty.tokens[:1].expand_as(empty.tokens)):
                raise AssertionError("null tokens differ within the batch")

    def deterministic() -> str:
        if not guidance.cacheable:
            raise LawSkippedError("cacheable is False")
        first, again = guidance(image), guidance(image)
        return close("tokens", again.tokens, first.tokens, 0)

    def alone() -> str:
        if not guidance.cacheable:
            raise LawSkippedError("cacheable is False")
        together = guidance(image)
        return "; ".join(_same_words(together, i, guidance(image[i : i + 1]), tolerance) for i in range(batch))

    def untouched() -> None:
        before = image.clone()
        guidance(image)
        if not torch.equal(image, before):
            raise AssertionError("the picture was changed")

    def prompts() -> str:
        try:
            told = guidance(image, ["a red brick wall"] * batch)
        except LinearSRError as error:
            return f"refused: {error}"
        plain = guidance(image)
        if told.tokens.shape == plain.tokens.shape and torch.equal(told.tokens, plain.tokens):
            raise AssertionError("a prompt was accepted and changed nothing; use it or raise a LinearSRError")
        return "read"

    report.hold("width is a whole number and source is lr or hr", lambda: _declared(guidance))
    report.hold("tokens are finite floats [B, L, width]", shapes)
    report.hold("null is one token, the same for all, mask True", null)
    report.hold("the same picture gets the same tokens", deterministic)
    report.hold("a picture's words do not depend on the batch", alone)
    report.hold("the picture is left alone", untouched)
    report.hold("prompts are read or refused", prompts)
    report.hold("a blank picture is answered, with or without words", lambda: _wordless(guidance, image))
    return report


def _declared(guidance: Guidance) -> None:
    if not isinstance(guidance.width, int) or guidance.width < 1 or guidance.source not in ("lr", "hr"):
        raise AssertionError(
            f"width {guidance.width!r}, source {guidance.source!r}; wanted a whole number ≥ 1 and 'lr' or 'hr'"
        )


def _same_words(together: GuidanceTokens, i: int, alone: GuidanceTokens, tolerance: float) -> str:
    """What the mask hides is padding and may differ."""
    return close("words", together.tokens[i][together.mask[i]], alone.tokens[0][alone.mask[0]], tolerance)


def _wordless(guidance: Guidance, image: Tensor) -> str:
    """A blank picture: a tagger that finds nothing answers with a mask that is all False."""
    given = guidance(torch.full_like(image, 0.5))
    if len(given.tokens) != len(image) or not bool(given.tokens.isfinite().all()):
        raise AssertionError(f"blank pictures gave {list(given.tokens.shape)}, finite: {bool(given.tokens.isfinite().all())}")
    return f"{int(given.mask.sum())} words for {len(image)} blank pictures"
