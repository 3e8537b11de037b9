"""Laws of what differs between two configs."""

import copy
import math
from typing import Any

import pytest
from hypothesis import given, settings

from linearsr.core.inspection.differences import ABSENT, Difference, differences, same
from tests.strategies import plain_dicts


def diff(before: Any, after: Any) -> list[Difference]:
    return list(differences(before, after))


def applied(tree: Any, found: list[Difference]) -> Any:
    """`tree` with every difference made to it."""
    tree = copy.deepcopy(tree)
    removed = [difference for difference in found if difference.change == "removed"]
    for difference in [d for d in found if d.change != "removed"] + removed[::-1]:  # the ends of lists first
        *way, last = difference.path
        holder = tree
        for part in way:
            holder = holder[part]
        if difference.change == "removed":
            del holder[last]
        elif isinstance(holder, list) and last == len(holder):
            holder.append(difference.after)
        else:
            holder[last] = difference.after
    return tree


@settings(max_examples=300)
@given(plain_dicts)
def test_law_nothing_differs_from_itself(tree: dict) -> None:
    assert diff(tree, copy.deepcopy(tree)) == []


@settings(max_examples=300)
@given(plain_dicts, plain_dicts)
def test_law_the_other_way_round_the_sides_are_swapped(before: dict, after: dict) -> None:
    swapped = [Difference(d.path, d.after, d.before) for d in diff(before, after)]
    assert sorted(map(repr, diff(after, before))) == sorted(map(repr, swapped))


@settings(max_examples=300)
@given(plain_dicts, plain_dicts)
def test_law_the_differences_made_to_one_side_give_the_other(before: dict, after: dict) -> None:
    assert same(applied(before, diff(before, after)), after)


@settings(max_examples=300)
@given(plain_dicts, plain_dicts)
def test_law_there_is_a_difference_exactly_where_the_two_are_not_the_same(before: dict, after: dict) -> None:
    assert bool(diff(before, after)) is not same(before, after)


def test_changed_added_and_removed_keys_are_named_with_dots() -> None:
    before = {"model": {"depth": 4, "stem": {"width": 8}}, "seed": 0}
    after = {"model": {"depth": 12, "guidance": None}, "seed": 0}
    assert [(d.key, d.change, d.before, d.after) for d in diff(before, after)] == [
        ("model.depth", "changed", 4, 12),
        ("model.stem", "removed", {"width": 8}, ABSENT),
        ("model.guidance", "added", ABSENT, None),
    ]


def test_lists_of_dicts_are_compared_place_by_place_and_others_whole() -> None:
    before = {"steps": [1], "pipeline": [{"type": "A", "x": 1}, {"type": "B"}]}
    after = {"steps": [1, 4], "pipeline": [{"type": "A", "x": 2}]}
    found = [(d.key, d.before, d.after) for d in diff(before, after)]
    assert found == [
        ("steps", [1], [1, 4]),
        ("pipeline.0.x", 1, 2),
        ("pipeline.1", {"type": "B"}, ABSENT),
    ]


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ((1, 2), [1, 2], True),
        (1, 1.0, True),
        (1, True, False),
        (0, None, False),
        (float("nan"), float("nan"), True),
        ([math.nan], [float("nan")], True),
        ({"a": (1,)}, {"a": [1]}, True),
        ({"a": 1}, {"a": 1, "b": 1}, False),
        ([1], [1, 2], False),
        ("1", 1, False),
    ],
)
def test_what_counts_as_the_same(one: Any, other: Any, alike: bool) -> None:
    assert same(one, other) is alike
    assert (diff({"k": one}, {"k": other}) == []) is alike
