"""Where a figure of training has been lately, and how far from there a new value is."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from statistics import median

NORMAL_MAD = 1.4826
"""1/Φ⁻¹(¾): makes the median absolute deviation of normal noise its standard deviation."""

LEAST_SPREAD = 0.1
"""Of logarithms, our choice: a figure that hardly moves is 10 deviations away where it is e times what it was, not before."""


class RecentRange:
    """The last `window` values of a figure that is positive by its nature, an error or a norm.

    Such figures scatter by factors, not by sums, so their logarithms are looked at; median and MAD, because a few values that
    stand out must not widen the range.
    """

    def __init__(self, window: int, values: Iterable[float] = ()):
        self.values = deque(values, maxlen=window)

    def add(self, value: float) -> None:
        """One that is not finite and above 0 is passed over."""
        if _usable(value):
            self.values.append(value)

    def middle(self) -> float:
        """The median. At least one value must be known."""
        return median(self.values)

    def deviations(self, value: float) -> float | None:
        """(log value − median) / max(1.4826·MAD, LEAST_SPREAD); above 0 for values above the median.

        None for a value that `add` passes over, and until `window` values are known.
        """
        if len(self.values) < (self.values.maxlen or 0) or not _usable(value):
            return None
        logs = [math.log(known) for known in self.values]
        centre = median(logs)
        spread = NORMAL_MAD * median(abs(log - centre) for log in logs)
        return (math.log(value) - centre) / max(spread, LEAST_SPREAD)


def _usable(value: float) -> bool:
    return math.isfinite(value) and value > 0
