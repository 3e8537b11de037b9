"""What passes for a number or a switch in a config."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linearsr.core.errors import ConfigError
from linearsr.core.values import require_bool, require_count, require_finite, require_odd, require_positive

EVERY_CHECK = [require_bool, require_count, require_odd, require_finite, require_positive]
NUMBERS = [require_count, require_odd, require_finite, require_positive]
WHOLE = [require_count, require_odd]


def refused(check, value, *limits):
    """The message of the refusal, or None for a value that passes."""
    try:
        check(value, "part.key", *limits)
    except ConfigError as error:
        return str(error)
    return None


@given(st.integers(), st.integers())
def test_a_count_is_a_whole_number_from_its_limit_on(value, at_least):
    message = refused(require_count, value, at_least)
    if value >= at_least:
        assert message is None
        assert require_count(value, "part.key", at_least) == value
    else:
        assert message == f"part.key is {value}; wanted a whole number of at least {at_least}; change part.key"


@given(st.integers())
def test_an_odd_number_is_one_that_has_a_middle(value):
    message = refused(require_odd, value)
    if value in range(1, value + 1, 2):
        assert message is None
    else:
        assert message == f"part.key is {value}; wanted an odd whole number of at least 1; change part.key"


@given(st.floats() | st.integers(), st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_a_finite_number_lies_between_its_limits(value, at_least, at_most):
    message = refused(require_finite, value, at_least, at_most)
    assert (message is None) == (math.isfinite(value) and at_least <= value <= at_most)


@given(st.floats() | st.integers())
def test_a_positive_number_is_finite_and_above_0(value):
    message = refused(require_positive, value)
    if math.isfinite(value) and value > 0:
        assert message is None
    else:
        assert message == f"part.key is {value!r}; wanted a finite number above 0; change part.key"


@pytest.mark.parametrize(
    ("limits", "wanted"),
    [
        ((), "a finite number"),
        ((1,), "a finite number of at least 1"),
        ((-math.inf, 2.5), "a finite number of at most 2.5"),
        ((0, 1), "a finite number of at least 0 and at most 1"),
    ],
)
def test_limits_are_told(limits, wanted):
    assert refused(require_finite, math.nan, *limits) == f"part.key is nan; wanted {wanted}; change part.key"


@pytest.mark.parametrize("check", EVERY_CHECK)
@pytest.mark.parametrize("value", ["", "1", "True", None, [1], (1,), {1}, 1j, object], ids=repr)
def test_what_is_neither_number_nor_switch_is_refused(check, value):
    assert refused(check, value).startswith(f"part.key is {value!r}; wanted ")


@pytest.mark.parametrize("check", NUMBERS)
@pytest.mark.parametrize("value", [True, False, np.True_], ids=repr)
def test_a_switch_is_no_number(check, value):
    assert refused(check, value) is not None


@pytest.mark.parametrize("value", [0, 1, 1.0, np.int64(1)], ids=repr)
def test_a_number_is_no_switch(value):
    assert refused(require_bool, value) == f"part.key is {value!r}; wanted True or False; change part.key"


@pytest.mark.parametrize("value", [True, False])
def test_a_switch_passes(value):
    assert require_bool(value, "part.key") is value


@pytest.mark.parametrize("check", WHOLE)
@pytest.mark.parametrize("value", [3.0, 2.5, np.float64(3), math.inf, math.nan], ids=repr)
def test_a_number_with_a_fraction_is_no_whole_one_even_if_that_is_0(check, value):
    assert refused(check, value) is not None


@pytest.mark.parametrize("check", [require_finite, require_positive])
@pytest.mark.parametrize("value", [10**400, math.inf, math.nan], ids=["10**400", "inf", "nan"])
def test_what_no_float_holds_is_not_finite(check, value):
    assert refused(check, value) is not None


@pytest.mark.parametrize(
    ("check", "value", "kind"),
    [
        (require_count, np.int64(3), int),
        (require_odd, np.uint8(3), int),
        (require_finite, np.float32(3), float),
        (require_finite, 3, float),
        (require_positive, np.int32(3), float),
    ],
)
def test_numbers_of_numpy_come_back_as_pythons_own(check, value, kind):
    got = check(value, "part.key")
    assert type(got) is kind
    assert got == 3
