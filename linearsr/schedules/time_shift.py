"""The time shift of large pictures: logit t' = logit t + ln s.

More pixels average more noise away, so the same visible noise needs a larger t. In log-SNR the shift is a translation,
λ' = λ − 2 ln s. Shifts form a group: s after r is the shift s·r, 1 changes nothing, 1/s undoes s; 0 and 1 stay where
they are. Sana trains and samples with 3 (512², 1024²) and 6 (4096²).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from linearsr.schedules.checks import require_exact_times, require_positive

if TYPE_CHECKING:
    from torch import Tensor


def shift_time(t: Tensor, shift: float) -> Tensor:
    """s t / (1 + (s − 1) t) for times of any shape in 0..1, in t's type. shift: s > 0, else ConfigError.

    The denominator is written s t + (1 − t), which gives exactly 1 at t = 1 for every s.
    """
    shift = require_positive(shift, "shift")
    scaled = shift * require_exact_times(t)
    return scaled / (scaled + (1 - t))
