"""Does a guidance keep its contract? `check_guidance(mine).require()` raises with the laws broken."""

from __future__ import annotations

import math
import warnings

import torch
from torch import Tensor, nn

from linearsr.core.conformance import REFUSALS, ConformanceReport, LawSkippedError, close
from linearsr.core.protocols import Guidance
from linearsr.core.randomness import generator
from linearsr.core.structures import GuidanceTokens
from linearsr.guidance import prompt_laws
from linearsr.guidance.guider_laws import check_guider
from linearsr.guidance.prompt_laws import same_words
from linearsr.guidance.taggers.conformance import check_tagger
from linearsr.guidance.text_encoders.conformance import check_text_encoder

__all__ = ["check_guidance", "check_guider", "check_tagger", "check_text_encoder"]


def check_guidance(guidance: Guidance, image_01: Tensor | None = None, *, tolerance: float = 1e-5) -> ConformanceReport:
    """Shapes, masks, null, negative, determinism, independence of the batch, prompts, bad pictures, identity, nothing to train.

    image_01:  float [B, 3, H, W] in 0..1, B ≥ 2, to look at; seeded noise where None
    tolerance: between a picture alone and in a batch, relative to the largest token
    """
    report = ConformanceReport(type(guidance).__name__)
    image = torch.rand(3, 3, 32, 48, generator=generator(0)) if image_01 is None else image_01
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of a text that was cut
        report.hold("width is a whole number and source is lr or hr", lambda: _declared(guidance))
        report.hold("tokens are finite floats [B, L, width]", lambda: _shapes(guidance, image))
        report.hold("null is one token, the same for all, mask True", lambda: _null(guidance))
        report.hold("negative is the same for all, and something counts", lambda: _negative(guidance))
        report.hold("the same picture gets the same tokens", lambda: _deterministic(guidance, image))
        report.hold("a picture's words do not depend on the batch", lambda: _alone(guidance, image, tolerance))
        report.hold("the picture and the random numbers of others are left alone", lambda: _untouched(guidance, image))
        report.hold("a blank picture is answered, with or without words", lambda: _wordless(guidance, image))
        report.hold("NaN and Inf are refused, or not looked at", lambda: _broken(guidance, image))
        report.hold("prompts are read or refused", lambda: prompt_laws.require_read_or_refused(guidance, image))
        report.hold("each picture is told its own prompt", lambda: prompt_laws.require_own(guidance, image, tolerance))
        report.hold("there is one prompt for each picture", lambda: prompt_laws.require_counted(guidance, image))
        report.hold("unusual prompts are answered", lambda: prompt_laws.require_unusual_answered(guidance, image))
        report.hold("tokens need no gradient", lambda: _frozen(guidance, image))
        report.hold("none of its weights is in a checkpoint", lambda: _state_dict(guidance))
        report.hold("identity is a text that stays", lambda: _identity(guidance, image))
    return report


def _declared(guidance: Guidance) -> None:
    if not isinstance(guidance.width, int) or guidance.width < 1 or guidance.source not in ("lr", "hr"):
        raise AssertionError(
            f"width {guidance.width!r}, source {guidance.source!r}; wanted a whole number ≥ 1 and 'lr' or 'hr'"
        )


def _shapes(guidance: Guidance, image: Tensor) -> str:
    given = GuidanceTokens.of(guidance(image))
    if given.tokens.shape[::2] != (len(image), guidance.width) or not given.tokens.is_floating_point():
        raise AssertionError(
            f"tokens are {given.tokens.dtype} {list(given.tokens.shape)}; wanted float [{len(image)}, L, {guidance.width}]"
        )
    if not bool(given.tokens.isfinite().all()):
        raise AssertionError("tokens are not finite, behind the mask or before it; 0 × NaN is NaN in cross-attention")
    return f"{given.tokens.dtype} {list(given.tokens.shape)}"


def _null(guidance: Guidance) -> None:
    for size in (1, 5):
        empty = GuidanceTokens.of(guidance.null(size))
        if empty.tokens.shape != (size, 1, guidance.width) or not bool(empty.mask.all()):
            raise AssertionError(f"null({size}) is {list(empty.tokens.shape)}; wanted [{size}, 1, {guidance.width}], mask True")
        _require_alike("null", empty)


def _negative(guidance: Guidance) -> str:
    """What classifier-free guidance leads away from, where it is not `null`."""
    negative = getattr(guidance, "negative", None)
    if negative is None:
        raise LawSkippedError("it has none; classifier-free guidance takes null")
    for size in (1, 5):
        given = GuidanceTokens.of(negative(size))
        if given.tokens.shape[::2] != (size, guidance.width) or not bool(given.mask.any(1).all()):
            raise AssertionError(
                f"negative({size}) is {list(given.tokens.shape)}, {given.mask.sum(1).tolist()} count; wanted "
                f"[{size}, L, {guidance.width}] with one at least"
            )
        _require_alike("negative", given)
    return f"{int(given.mask[0].sum())} tokens"


def _require_alike(what: str, given: GuidanceTokens) -> None:
    if not torch.equal(given.tokens, given.tokens[:1].expand_as(given.tokens)):
        raise AssertionError(f"{what} tokens differ within the batch")
    if not bool(given.tokens.isfinite().all()):
        raise AssertionError(f"{what} tokens are not finite")


def _deterministic(guidance: Guidance, image: Tensor) -> str:
    _skip_unless_cacheable(guidance)
    first, again = guidance(image), guidance(image)
    return close("tokens", again.tokens, first.tokens, 0)


def _alone(guidance: Guidance, image: Tensor, tolerance: float) -> str:
    _skip_unless_cacheable(guidance)
    together = guidance(image)
    return "; ".join(same_words(together, i, guidance(image[i : i + 1]), tolerance) for i in range(len(image)))


def _untouched(guidance: Guidance, image: Tensor) -> None:
    before, state = image.clone(), torch.get_rng_state()
    guidance(image)
    if not torch.equal(image, before):
        raise AssertionError("the picture was changed")
    if guidance.cacheable and not torch.equal(torch.get_rng_state(), state):
        raise AssertionError("torch's global random numbers were used; draw from a torch.Generator of your own")


def _wordless(guidance: Guidance, image: Tensor) -> str:
    """A blank picture: a tagger that finds nothing answers with a mask that is all False."""
    given = guidance(torch.full_like(image, 0.5))
    if len(given.tokens) != len(image) or not bool(given.tokens.isfinite().all()):
        raise AssertionError(f"blank pictures gave {list(given.tokens.shape)}, finite: {bool(given.tokens.isfinite().all())}")
    return f"{int(given.mask.sum())} words for {len(image)} blank pictures"


def _broken(guidance: Guidance, image: Tensor) -> str:
    """One value of one picture; what does not look at pictures gives the same tokens as ever."""
    for value in (math.nan, math.inf):
        broken = image.clone()
        broken[-1, 0, 0, 0] = value
        try:
            given = guidance(broken)
        except REFUSALS as error:
            said = str(error)
            continue
        plain = guidance(image)
        if given.tokens.shape != plain.tokens.shape or not torch.equal(given.tokens, plain.tokens):
            raise AssertionError(f"a picture with {value} was looked at; wanted a ValueError")
        said = "not looked at"
    return said


def _frozen(guidance: Guidance, image: Tensor) -> None:
    with torch.enable_grad():
        tokens = guidance(image).tokens
    if tokens.requires_grad or tokens.is_inference():
        raise AssertionError(
            f"tokens require a gradient: {tokens.requires_grad}; are of inference mode, which autograd refuses: "
            f"{tokens.is_inference()}; wanted frozen parts under torch.no_grad()"
        )


def _state_dict(guidance: Guidance) -> None:
    """As a model would hold it, after its first call."""
    holder = nn.Module()
    holder.guidance = guidance  # type: ignore[assignment]
    if kept := list(holder.state_dict()):
        raise AssertionError(
            f"{len(kept)} tensors of it would be in every checkpoint, {kept[0]} among them; a frozen encoder that is held in a "
            "tuple, or by an object that is no torch module, is in none"
        )


def _identity(guidance: Guidance, image: Tensor) -> str:
    identity = getattr(guidance, "identity", None)
    if identity is None:
        raise LawSkippedError("it has none; its tokens cannot be kept in a cache")
    guidance(image)
    again = getattr(guidance, "identity", None)
    if not isinstance(identity, str) or not identity.strip() or again != identity:
        raise AssertionError(f"it was {identity!r}, is {again!r} after a call; wanted the same text")
    return identity


def _skip_unless_cacheable(guidance: Guidance) -> None:
    if not guidance.cacheable:
        raise LawSkippedError("cacheable is False")
