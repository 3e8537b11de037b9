"""What a value of an option must be: anything else is refused with the key, what came and what is wanted."""

import pytest

from linearsr.core.errors import ConfigError
from linearsr.core.registries import ATTENTION

COUNT, WINDOW_COUNT = "a whole number of at least 1", "a whole number of at least 0"
NO_COUNTS = (0, -3, 2.5, 3.0, "5", True, [5])
NO_SHIFTS = (-1, 1.5, 2.0, "1", True, [1])
NO_ODD_NUMBERS = (0, -1, 2, 4, 3.0, "3", True, [3])
NO_SWITCHES = ("no", "False", "", 0, 1, None, 0.0)

REFUSED = [
    *(("WindowAttention", "window", value, COUNT) for value in (*NO_COUNTS, None)),
    *(("WindowAttention", "shift", value, WINDOW_COUNT) for value in NO_SHIFTS),
    *(("WindowAttention", "layer", value, WINDOW_COUNT) for value in (*NO_SHIFTS, "x", None)),
    *(("AgentAttention", "agent_side", value, COUNT) for value in (*NO_COUNTS, None)),
    *(("PerformerAttention", "num_features", value, COUNT) for value in NO_COUNTS),
    *(
        (name, "kernel", value, "an odd whole number of at least 1")
        for name in ("AgentAttention", "FocusedLinearAttention")
        for value in (*NO_ODD_NUMBERS, None)
    ),
    *(
        ("FocusedLinearAttention", "power", value, "a finite number of at least 1")
        for value in (0.5, 0, -3, float("inf"), float("nan"), "3", "inf", True, None, [3.0], 1j, 10**400)
    ),
    *(
        ("MultiScaleReLULinearAttention", "scales", value, "a list of odd whole numbers")
        for value in (5, "5", "35", None, {5}, True, 5.0)
    ),
    *((name, "qk_norm", value, "True or False") for name in ATTENTION.own() for value in NO_SWITCHES),
]


def refusal(name, *, dim=16, num_heads=2, **options):
    """The message of the one error that building raises."""
    with pytest.raises(ConfigError) as caught:
        ATTENTION.build({"type": name, **options}, dim=dim, num_heads=num_heads)
    assert caught.value.__cause__ is None  # said by the option's own check, not by what fell over it
    return str(caught.value)


@pytest.mark.parametrize(("name", "key", "value", "wanted"), REFUSED, ids=lambda part: repr(part)[:24])
def test_a_value_of_no_use_is_refused_with_its_key(name, key, value, wanted):
    message = refusal(name, **{key: value})
    assert message == f"attention.{key} is {value!r}; wanted {wanted}; change attention.{key}"


@pytest.mark.parametrize("value", NO_ODD_NUMBERS, ids=repr)
def test_a_scale_of_no_use_is_refused_with_its_place(value):
    message = refusal("MultiScaleReLULinearAttention", scales=(3, value))
    assert message.startswith(f"attention.scales[1] is {value!r}; wanted an odd whole number of at least 1")


@pytest.mark.parametrize("name", ATTENTION.own())
@pytest.mark.parametrize("key", ["dim", "num_heads"])
@pytest.mark.parametrize("value", [0, -2, "16", 16.0, True, None], ids=repr)
def test_a_width_or_a_number_of_heads_of_no_use_is_refused(name, key, value):
    assert refusal(name, **{key: value}) == f"{key} is {value!r}; wanted {COUNT}; change {key}"
