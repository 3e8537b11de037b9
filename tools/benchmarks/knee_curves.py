"""Validation curves whose knee and whose onset of oscillation are known: what the knee detector is measured on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

EVALUATIONS = 60
NOISES = (0.002, 0.01, 0.03, 0.06)
"""Standard deviation of an evaluation's error, the whole rise being 1."""
NEARLY = 0.95
"""The knee is the first evaluation with this share of the rise."""
FARTHEST = {2: 12, 3: 10, 4: 8}
"""Evaluations between two stairs, by their number: all are climbed by evaluation 32."""
STILL_FALLING = 0.2
"""What a training error of 2 loses in 60 evaluations beside the rise, as losses do while the metrics oscillate."""

Array = NDArray[np.float64]
Rise = Callable[[np.random.Generator], tuple[Array, int]]


@dataclass(frozen=True)
class KnownCurves:
    """values: [EVALUATIONS, metrics], higher is better; knee: index of the first evaluation with 95 % of the rise;
    onset: index after which the metrics are pulled down irregularly; training_error: [EVALUATIONS], it falls to the end."""

    kind: str
    noise: float
    values: Array
    knee: int
    onset: int
    training_error: Array


def saturating(draw: np.random.Generator) -> tuple[Array, int]:
    """1 − exp(−3 i/knee), knee 8 … 19."""
    knee = int(draw.integers(8, 20))
    return 1 - np.exp(-3 * np.arange(EVALUATIONS) / knee), knee


def warm_up_dip(draw: np.random.Generator) -> tuple[Array, int]:
    """The same after a dip of 0.1 … 0.5 that is deepest at evaluation 1.5 … 4, as a learning rate that warms up makes it."""
    rise, knee = saturating(draw)
    depth, centre, width = draw.uniform(0.1, 0.5), draw.uniform(1.5, 4), draw.uniform(0.7, 1.8)
    return rise - depth * np.exp(-(((np.arange(EVALUATIONS) - centre) / width) ** 2)), knee


def staircase(draw: np.random.Generator) -> tuple[Array, int]:
    """Two to four stairs of at least 0.15, 4 … 12 evaluations apart, climbed in about three: flat for up to nine."""
    stairs = int(draw.integers(2, 5))
    heights = 0.15 + (1 - 0.15 * stairs) * draw.dirichlet(np.ones(stairs))
    starts = np.cumsum(draw.integers(4, 1 + FARTHEST[stairs], stairs)) - 4
    ahead = np.clip(np.arange(EVALUATIONS)[:, None] - starts, 0, None)
    rise = (heights * (1 - np.exp(-ahead))).sum(1)
    return rise, int(np.argmax(rise >= NEARLY))


KINDS: dict[str, Rise] = {"saturating": saturating, "warm-up dip": warm_up_dip, "staircase": staircase}


def known_curves(seed: int, kind: str, noise: float, metrics: int = 3) -> KnownCurves:
    """All metrics share knee and onset; slope of the plateau, oscillation and noise are each one's own."""
    draw = np.random.default_rng(seed)
    rise, knee = KINDS[kind](draw)
    onset = int(draw.integers(knee + 8, 48))
    columns = [rise + _afterwards(draw, knee, onset) + noise * draw.standard_normal(EVALUATIONS) for _ in range(metrics)]
    training_error = 2 - rise - STILL_FALLING * np.arange(EVALUATIONS) / EVALUATIONS
    return KnownCurves(kind, noise, np.stack(columns, 1), knee, onset, training_error)


def mixed_curves(seed: int, metrics: int = 3) -> KnownCurves:
    """Kinds and noises in turn."""
    kinds = list(KINDS)
    return known_curves(seed, kinds[seed // len(NOISES) % len(kinds)], NOISES[seed % len(NOISES)], metrics)


def _afterwards(draw: np.random.Generator, knee: int, onset: int) -> Array:
    """A plateau that rises by at most 0.05 in 60 evaluations; after the onset up to 0.15 … 0.5 are lost, less at first."""
    i = np.arange(EVALUATIONS)
    since = np.clip(i - onset, 0, None)
    slope, depth, phase = draw.uniform(0, 0.05), draw.uniform(0.15, 0.5), draw.uniform(0, 6)
    lost = depth * (since > 0) * np.abs(np.sin(1.3 * since + phase)) * np.minimum(1, since / 4)
    return slope * np.clip((i - knee) / EVALUATIONS, 0, None) - lost
