"""From one score per class to the tags that are told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from linearsr.core.errors import ConfigError, ShapeError, nearest
from linearsr.core.structures import Tag
from linearsr.core.tags.files import without_repetition
from linearsr.core.values import require_bool, require_count, require_finite
from linearsr.guidance.taggers.names import told_name, without_synonyms

if TYPE_CHECKING:
    from torch import Tensor

Scored = tuple[int, float]
"""Class index and score."""


def _by_score(scored: Scored) -> tuple[float, int]:
    return -scored[1], scored[0]


def _by_index(scored: Scored) -> int:
    return scored[0]


ORDERS: Mapping[str, Callable[[Scored], tuple[float, int] | int]] = {"score": _by_score, "index": _by_index}


@dataclass(frozen=True)
class Selection:
    """Which classes become tags, and in which order.

    threshold:     a class is told if its score is above it, strictly; a number in 0..1, one per class, or None: the
                   network's own, one per class
    max_tags:      so many at most, those of the highest scores; None: all
    order:         "score", the highest first (of equal ones the lower class index), or "index", as the classes are numbered
    drop_synonyms: of classes that mean one thing only the highest score is told; the rule is `without_synonyms`'. A name that
                   two classes share is told once in any case
    Raises ConfigError for any other value.
    """

    threshold: float | Sequence[float] | None = 0.5
    max_tags: int | None = None
    order: str = "score"
    drop_synonyms: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "threshold", _checked_threshold(self.threshold))
        if self.max_tags is not None:
            object.__setattr__(self, "max_tags", require_count(self.max_tags, "tagger.max_tags"))
        if self.order not in ORDERS:
            raise ConfigError(f"tagger.order is {self.order!r}{nearest(str(self.order), ORDERS)}; wanted {' or '.join(ORDERS)}")
        require_bool(self.drop_synonyms, "tagger.drop_synonyms")

    def choose(self, scores: Tensor, classes: Sequence[str], own: Sequence[float] | None = None) -> list[Tag]:
        """scores: [C] in 0..1; classes: C names, each perhaps with synonyms after commas, of which the first is told.

        own: thresholds that the network brings. Scores and thresholds are compared in float32, as they are published.
        Raises ShapeError or ConfigError where the counts differ.
        """
        import torch

        values = scores.detach().float().cpu()
        if values.shape != (len(classes),):
            raise ShapeError(f"{list(scores.shape)} scores for {len(classes)} classes; wanted one score each")
        bar = torch.tensor(self._bar(len(classes), own), dtype=torch.float32)
        ranked = sorted(((i, values[i].item()) for i in (values > bar).nonzero()[:, 0].tolist()), key=_by_score)
        ranked = [ranked[i] for i in without_repetition(told_name(classes[i]) for i, _ in ranked)]
        if self.drop_synonyms:
            ranked = [ranked[i] for i in without_synonyms(classes[i] for i, _ in ranked)]
        told = sorted(ranked[: self.max_tags], key=ORDERS[self.order])
        return [Tag(told_name(classes[i]), score) for i, score in told]

    def _bar(self, count: int, own: Sequence[float] | None) -> Sequence[float] | float:
        chosen = own if self.threshold is None else self.threshold
        if chosen is None:
            raise ConfigError("tagger.threshold is None, and this tagger brings none of its own; set tagger.threshold")
        if isinstance(chosen, Sequence) and len(chosen) != count:
            raise ConfigError(
                f"tagger.threshold has {len(chosen)} numbers for {count} classes; wanted one, or one per class; "
                "change tagger.threshold"
            )
        return chosen


def _checked_threshold(threshold: object) -> float | tuple[float, ...] | None:
    if threshold is None:
        return None
    if isinstance(threshold, Sequence) and not isinstance(threshold, str):
        return tuple(require_finite(value, f"tagger.threshold[{i}]", 0, 1) for i, value in enumerate(threshold))
    return require_finite(threshold, "tagger.threshold", 0, 1)
