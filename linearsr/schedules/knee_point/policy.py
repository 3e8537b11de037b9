"""How several metrics make one knee. A policy reads the columns it looks at and returns one Reading."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from linearsr.core.errors import ConfigError, nearest
from linearsr.schedules.knee_point.reading import Options, Reading, read_curve
from linearsr.schedules.knee_point.signal import Matrix, fuse

Combine = Callable[[Matrix, Options], Reading]
"""(rows [evaluations, metrics], finite and oriented; options) -> Reading"""


def median_of(rows: Matrix, options: Options) -> Reading:
    """The knee of the median curve: what most metrics say."""
    curve = fuse(rows, options.window)
    return Reading() if curve is None else read_curve(curve, options)


def first_of(rows: Matrix, options: Options) -> Reading:
    """As soon as any metric stops to gain, and as soon as any falls: the cautious choice."""
    alone = _each(rows, options)
    return Reading(
        min((one.knee for one in alone if one.knee is not None), default=None),
        min((one.onset for one in alone if one.onset is not None), default=None),
        min(one.earliest for one in alone),
    )


def last_of(rows: Matrix, options: Options) -> Reading:
    """Not before all metrics have stopped to gain, though one may fall meanwhile; the onset is where the last one falls."""
    alone = _each(rows, options)
    knees = [one.knee for one in alone if one.knee is not None]
    onsets = [one.onset for one in alone if one.onset is not None]
    return Reading(
        max(knees) if len(knees) == len(alone) else None,
        max(onsets) if len(onsets) == len(alone) else None,
        max(one.earliest for one in alone),
    )


POLICIES: dict[str, Combine] = {"median": median_of, "any": first_of, "all": last_of}


@dataclass(frozen=True)
class Policy:
    """combine: how; columns: of which metrics. A figure that is not finite is a failure in whichever metric it is."""

    combine: Combine
    columns: tuple[int, ...]

    def read(self, rows: Matrix, options: Options) -> Reading:
        """rows: oriented, NaN where a figure was not finite. The first such evaluation after a knee is an onset; where there is
        no knee yet, one that comes last is."""
        finite = np.asarray(np.isfinite(rows).all(axis=1))
        for broken in np.flatnonzero(~finite):
            before = self.read_finite(rows[:broken], options)
            if before.knee is not None:
                return replace(before, onset=int(broken)) if before.onset is None else before
        if finite.any() and not finite[-1]:
            return Reading(onset=len(rows) - 1)
        return self.read_finite(rows, options)

    def read_finite(self, rows: Matrix, options: Options) -> Reading:
        """As if the evaluations that are not finite had not been made; indices are those of all."""
        kept = np.flatnonzero(np.isfinite(rows).all(axis=1))
        if not len(kept):
            return Reading()
        reading = self.combine(rows[kept][:, list(self.columns)], options)
        knee, onset, peak = (None if i is None else int(kept[i]) for i in (reading.knee, reading.onset, reading.peak))
        return Reading(knee, onset, int(kept[reading.earliest]), peak)

    def alone(self, rows: Matrix, options: Options) -> list[Reading]:
        """Of each metric by itself, whichever this policy looks at."""
        return [Policy(median_of, (0,)).read(column[:, None], options) for column in rows.T]

    def without(self, rows: Matrix) -> list[Policy]:
        """The policies that leave one metric out, and with it those that are the same numbers; none if nothing is left."""
        others = {
            tuple(other for other in self.columns if not np.array_equal(rows[:, column], rows[:, other], equal_nan=True))
            for column in self.columns
        }
        return [replace(self, columns=columns) for columns in sorted(others) if columns]


def choose_policy(name: str, metrics: Sequence[str]) -> Policy:
    """One of POLICIES, over all metrics, or the name of the one metric that decides. Raises ConfigError for another name."""
    if ambiguous := sorted(POLICIES.keys() & set(metrics)):
        raise ConfigError(f"a metric is called {ambiguous[0]!r}, as a policy is; rename it in knee.directions")
    everything = tuple(range(len(metrics)))
    known = {policy: Policy(combine, everything) for policy, combine in POLICIES.items()}
    known |= {metric: Policy(median_of, (column,)) for column, metric in enumerate(metrics)}
    if name not in known:
        hint = nearest(str(name), known)
        raise ConfigError(f"knee.policy is {name!r}{hint}; wanted one of {', '.join(POLICIES)} or a metric of {list(metrics)}")
    return known[name]


def _each(rows: Matrix, options: Options) -> list[Reading]:
    return [median_of(column[:, None], options) for column in rows.T]
