"""What a number or a switch in a config must be, said once.

Each function gives the value back in Python's own type, NumPy's numbers too, or raises ConfigError with what came, what is
wanted and `key`, what the user sets ("attention.window"). True and False are no numbers, and neither is a number in quotes.
"""

from __future__ import annotations

import math
from numbers import Integral, Real

from linearsr.core.errors import ConfigError


def require_count(value: object, key: str, at_least: int = 1) -> int:
    """A whole number of at least `at_least`; 3.0 is none."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < at_least:
        raise _refusal(value, key, f"a whole number of at least {at_least}")
    return int(value)


def require_odd(value: object, key: str) -> int:
    """An odd whole number of at least 1: one of so many tokens or pixels is in the middle."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1 or value % 2 == 0:
        raise _refusal(value, key, "an odd whole number of at least 1")
    return int(value)


def require_finite(value: object, key: str, at_least: float = -math.inf, at_most: float = math.inf) -> float:
    """A finite number in at_least … at_most, ends included."""
    number = _finite(value)
    if number is None or not at_least <= number <= at_most:
        ends = [f"{word} {end}" for word, end in (("at least", at_least), ("at most", at_most)) if math.isfinite(end)]
        raise _refusal(value, key, "a finite number" + (f" of {' and '.join(ends)}" if ends else ""))
    return number


def require_positive(value: object, key: str) -> float:
    """A finite number above 0."""
    number = _finite(value)
    if number is None or number <= 0:
        raise _refusal(value, key, "a finite number above 0")
    return number


def require_bool(value: object, key: str) -> bool:
    """True or False: every other value is one of the two to Python, a "no" in quotes is True."""
    if not isinstance(value, bool):
        raise _refusal(value, key, "True or False")
    return value


def _finite(value: object) -> float | None:
    """None for what is no number, no finite one, or too large for a float."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _refusal(value: object, key: str, wanted: str) -> ConfigError:
    return ConfigError(f"{key} is {value!r}; wanted {wanted}; change {key}")
