"""A rule of one's own becomes boundaries, exactly where it switches; one that is no partition is refused."""

import math
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from linearsr.core.errors import ConfigError, PluginLoadError
from linearsr.core.registries import ROUTERS
from linearsr.experts.function_router import FunctionRouter, find_switches

LEAST = math.ulp(0.0)
"""The smallest float64 above 0."""

any_boundaries = st.lists(
    st.floats(0, 1, exclude_min=True, exclude_max=True) | st.sampled_from([LEAST, sys.float_info.min, math.nextafter(1, 0)]),
    max_size=5,
    unique=True,
).map(sorted)


def thirds(t):
    return (3 * t).floor().clamp(max=2).long()


def above(cut):
    return lambda t: (t >= cut).int()


@given(any_boundaries)
def test_the_switches_of_a_rule_are_found_to_the_last_bit(boundaries):
    cuts = torch.tensor(boundaries, dtype=torch.float64)
    found = find_switches(lambda t: torch.bucketize(t, cuts, right=True), len(boundaries) + 1)
    assert list(found) == boundaries


def test_a_config_names_the_function():
    router = ROUTERS.build({"type": "FunctionRouter", "function": f"{__name__}:thirds", "num_experts": 3})
    assert router.boundaries == pytest.approx([1 / 3, 2 / 3])
    t = torch.linspace(0, 1, 100, dtype=torch.float64)
    assert torch.equal(router.route(t), thirds(t))


def test_the_function_is_not_asked_again():
    asked = []
    router = FunctionRouter(lambda t: asked.append(len(t)) or thirds(t), 3)
    before = len(asked)
    router.route(torch.rand(5))
    assert len(asked) == before


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        ("no_such_pkg:rule", "No module named 'no_such_pkg'"),
        (f"{__name__}:no_such_rule", "no_such_rule"),
        ("thirds", "does not load"),
        (f"{__name__}:LEAST", "of type float; wanted a function"),
    ],
)
def test_a_function_that_does_not_load_is_named(function, reason):
    with pytest.raises(PluginLoadError, match=rf"router\.function '{function}'.*{reason}"):
        FunctionRouter(function, 2)


@pytest.mark.parametrize(
    ("rule", "num_experts", "message"),
    [
        (lambda t: 3 * t, 3, r"torch.float64 \[1025\]; wanted an integer tensor"),
        (lambda t: t.tolist(), 2, "with list; wanted"),
        (lambda t: thirds(t)[:, None], 3, r"\[1025, 1\]; wanted"),
        (thirds, 2, r"answers \[0, 1, 2\]; wanted experts 0..1; change router.num_experts"),
        (lambda t: thirds(t) - 1, 3, r"answers \[-1, 0, 1\]"),
        (thirds, 4, "answers 0 at t = 0 and 2 at t = 1; wanted 0 and 3"),
        (lambda t: 2 - thirds(t), 3, "sends a noisier time to a lower expert near t = 0.33"),
        (lambda t: 2 * above(0.5)(t), 3, r"leaves an expert without times: its switches are \(0.5, 0.5\)"),
        (above(1.0), 2, r"leaves an expert without times: its switches are \(1.0,\)"),
        (thirds, 0, "num_experts is 0; wanted a whole number of at least 1"),
        (thirds, 3.0, "num_experts is 3.0"),
    ],
)
def test_a_rule_that_is_no_partition_is_refused(rule, num_experts, message):
    with pytest.raises(ConfigError, match=message):
        FunctionRouter(rule, num_experts)
