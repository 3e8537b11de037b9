"""Does a tagger keep its contract? `check_tagger(mine).require()` raises with the laws broken."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any

import torch
from torch import Tensor

from linearsr.core.conformance import ConformanceReport, LawSkippedError, refused
from linearsr.core.protocols import Tagger
from linearsr.core.randomness import generator
from linearsr.core.structures import Tag

SIZES = ((1, 1), (1, 7), (9, 1), (33, 17))
"""Pictures that no crop fits into, and odd ones."""
SEPARATORS = ",|\n\r\t"
"""Of tags in prompts and files."""


def check_tagger(tagger: Tagger, image_01: Tensor | None = None, *, others: Sequence[Tagger] = ()) -> ConformanceReport:
    """Names, scores, order, determinism, independence of the batch, bad pictures, identity.

    image_01: float [B, 3, H, W] in 0..1, B ≥ 2, with something in them; seeded noise where None
    others:   taggers of the same class with other options or weights: their identities must differ
    """
    report = ConformanceReport(type(tagger).__name__)
    image = torch.rand(3, 3, 24, 36, generator=generator(0)) if image_01 is None else image_01
    told: list[list[Tag]] = []

    def lists() -> str:
        told.extend(tagger(image))
        return _lists(told, len(image))

    report.hold("each picture gets a list of Tag", lists)
    if report.failed:
        return report
    report.hold("names are words for a prompt", lambda: _each(told, _named))
    report.hold("scores are finite, in 0..1", lambda: _each(told, _scored))
    report.hold("no picture is told one name twice", lambda: _once(told))
    report.hold("tags come in the order that is declared", lambda: _ordered(tagger, told))
    report.hold("the same picture gets the same tags", lambda: _same(tagger(image), told))
    report.hold("a picture's tags do not depend on the batch", lambda: _alone(tagger, image, told))
    report.hold("the picture and the random numbers of others are left alone", lambda: _untouched(tagger, image))
    report.hold("no picture, no tags", lambda: _same(tagger(image[:0]), []))
    report.hold("tiny and odd pictures are answered", lambda: _sizes(tagger))
    report.hold("NaN and Inf are refused", lambda: _broken(tagger, image))
    report.hold("memory that was given back is taken again", lambda: _unloaded(tagger, image, told))
    report.hold("identity is a text that stays", lambda: _identity(tagger))
    report.hold("other options are another identity", lambda: _others(tagger, others))
    return report


def _lists(told: Any, batch: int) -> str:
    if len(told) != batch or not all(isinstance(tags, list) for tags in told):
        raise AssertionError(f"{batch} pictures gave {told!r:.200}; wanted a list of {batch} lists")
    if strange := [tag for tags in told for tag in tags if not isinstance(tag, Tag)]:
        raise AssertionError(f"among the tags is {strange[0]!r}; wanted linearsr.core.structures.Tag")
    return f"{[len(tags) for tags in told]} tags"


def _each(told: list[list[Tag]], law: Callable[[Tag], bool]) -> None:
    if broken := [tag for tags in told for tag in tags if not law(tag)]:
        raise AssertionError(f"{len(broken)} break it, such as {broken[0]!r}")


def _named(tag: Tag) -> bool:
    return bool(tag.name) and tag.name == tag.name.strip() and not any(mark in tag.name for mark in SEPARATORS)


def _scored(tag: Tag) -> bool:
    return isinstance(tag.score, float) and math.isfinite(tag.score) and 0 <= tag.score <= 1


def _once(told: list[list[Tag]]) -> None:
    for tags in told:
        name, count = max(Counter(tag.name.casefold() for tag in tags).items(), key=itemgetter(1), default=("", 0))
        if count > 1:
            raise AssertionError(f"{name!r} comes {count} times")


def _ordered(tagger: Tagger, told: list[list[Tag]]) -> None:
    if (order := getattr(tagger, "order", None)) != "score":
        raise LawSkippedError(f"order is {order!r}, not 'score'")
    for tags in told:
        scores = [tag.score for tag in tags]
        if scores != sorted(scores, reverse=True):
            raise AssertionError(f"the scores are {scores}; wanted the highest first")


def _same(got: list[list[Tag]], want: list[list[Tag]]) -> None:
    if got != want:
        raise AssertionError(f"{got!r:.300}; wanted {want!r:.300}")


def _alone(tagger: Tagger, image: Tensor, told: list[list[Tag]]) -> None:
    _same([tags for picture in image for tags in tagger(picture[None])], told)
    _same(tagger(image.flip(0)), told[::-1])


def _untouched(tagger: Tagger, image: Tensor) -> None:
    before, state = image.clone(), torch.get_rng_state()
    tagger(image)
    if not torch.equal(image, before):
        raise AssertionError("the picture was changed")
    if not torch.equal(torch.get_rng_state(), state):
        raise AssertionError("torch's global random numbers were used")


def _sizes(tagger: Tagger) -> str:
    draw = generator(1)
    return "; ".join(_lists(tagger(torch.rand(1, 3, *size, generator=draw)), 1) for size in SIZES)


def _broken(tagger: Tagger, image: Tensor) -> str:
    said = []
    for value in (math.nan, math.inf):
        broken = image.clone()
        broken[-1, 0, 0, 0] = value
        said.append(refused(lambda broken=broken: tagger(broken)))  # type: ignore[misc]
    return said[0]


def _unloaded(tagger: Tagger, image: Tensor, told: list[list[Tag]]) -> None:
    unload = getattr(tagger, "unload", None)
    if unload is None:
        raise LawSkippedError("it has no unload()")
    unload()
    _same(tagger(image), told)


def _identity(tagger: Tagger) -> str:
    identity = tagger.identity
    if not isinstance(identity, str) or not identity.strip() or identity != tagger.identity:
        raise AssertionError(f"it is {identity!r}, then {tagger.identity!r}; wanted one text")
    return identity


def _others(tagger: Tagger, others: Sequence[Tagger]) -> str:
    if not others:
        raise LawSkippedError("no others were given")
    identities = [one.identity for one in (tagger, *others)]
    if twice := [identity for identity in identities if identities.count(identity) > 1]:
        raise AssertionError(f"{twice[0]!r} is that of {identities.count(twice[0])} of them")
    return f"{len(identities)} identities"
