"""Other answers to where a run was at its best: the best metric, Kneedle, and the stopping criteria of Prechelt.

All get one metric [n], higher is better, and the whole of it. Each returns the index of an evaluation, None for no answer.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator

import numpy as np
from knee_curves import Array
from kneed import KneeLocator

STRIP = 5
"""Evaluations of a strip: k in Prechelt, "Early Stopping - But When?", 1998."""
LOSS, QUOTIENT, STRIPS = 5.0, 2.0, 3
"""GL_5, PQ_2 and UP_3, in the middle of what the paper tries."""


def best_metric(metric: Array) -> int:
    return int(np.argmax(metric))


def kneedle(metric: Array, online: bool = False, method: str = "interp1d") -> int | None:
    """Satopää et al. 2011 as kneed has it, S = 1."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns where it finds none
        where = range(len(metric))
        found = KneeLocator(where, metric, curve="concave", direction="increasing", online=online, interp_method=method).knee
    return None if found is None else int(found)


def generalization_loss(error: Array, limit: float = LOSS) -> int:
    """GL_α: stops at the first t with GL(t) = 100·(E(t)/min E − 1) > α; E: error, above 0."""
    return _best_until(error, (t for t, loss in enumerate(_losses(error)) if loss > limit))


def progress_quotient(error: Array, training: Array, limit: float = QUOTIENT) -> int:
    """PQ_α: stops at the first end of a strip with GL/P > α; P = 1000·(mean/min of the strip's training errors − 1)."""
    losses = _losses(error)
    ends = [t for t in _ends(error) if losses[t] > limit * _progress(training[t - STRIP + 1 : t + 1])]
    return _best_until(error, iter(ends))


def successive_increases(error: Array, strips: int = STRIPS) -> int:
    """UP_s: stops when the error has increased over s strips in a row."""
    rises = {t: t >= STRIP and error[t] > error[t - STRIP] for t in _ends(error)}
    return _best_until(error, (t for t in rises if all(rises.get(t - STRIP * back, False) for back in range(strips))))


def error_of(metric: Array) -> Array:
    """The rise from 0 to 1 as an error that falls from 2 to 1; Prechelt's losses are relative, so the offset counts."""
    return 2 - metric


PEERS: dict[str, Callable[[Array, Array], int | None]] = {
    "best metric": lambda metric, training: best_metric(metric),
    "kneed, S = 1": lambda metric, training: kneedle(metric),
    "kneed, online": lambda metric, training: kneedle(metric, online=True),
    "kneed, polynomial": lambda metric, training: kneedle(metric, method="polynomial"),
    "Prechelt GL 5": lambda metric, training: generalization_loss(error_of(metric)),
    "Prechelt PQ 2": lambda metric, training: progress_quotient(error_of(metric), training),
    "Prechelt UP 3": lambda metric, training: successive_increases(error_of(metric)),
}


def _losses(error: Array) -> Array:
    return 100 * (error / np.minimum.accumulate(error) - 1)


def _progress(strip: Array) -> float:
    return float(1000 * (strip.mean() / strip.min() - 1))


def _ends(error: Array) -> range:
    return range(STRIP - 1, len(error), STRIP)


def _best_until(error: Array, stops: Iterator[int]) -> int:
    """What early stopping keeps: the lowest error up to the stop, or of all if it never stops."""
    return int(np.argmin(error[: next(stops, len(error)) + 1]))
