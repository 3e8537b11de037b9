"""What differs between two trees of plain data, key by key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from linearsr.core.key_check import KeyPath, dotted


class _Absent:
    def __repr__(self) -> str:
        return "absent"


ABSENT = _Absent()
"""Where a side has no such key; None is a value like another."""


@dataclass(frozen=True)
class Difference:
    """One key that the two sides do not have alike. before, after: its value on either side, or ABSENT."""

    path: KeyPath
    before: Any
    after: Any

    @property
    def key(self) -> str:
        return dotted(self.path)

    @property
    def change(self) -> Literal["added", "removed", "changed"]:
        if self.before is ABSENT:
            return "added"
        return "removed" if self.after is ABSENT else "changed"


def differences(before: Any, after: Any, path: KeyPath = ()) -> Iterator[Difference]:
    """In the order of `before`, then what `after` adds. A subtree that one side lacks is one difference.

    Lists of dicts (pipelines, schedules) are compared place by place, other lists as one value. A tuple equals a list of the
    same items, and 1 equals 1.0, but not True.
    """
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in dict.fromkeys([*before, *after]):
            yield from differences(before.get(key, ABSENT), after.get(key, ABSENT), (*path, key))
    elif _is_of_dicts(before) and _is_of_dicts(after):
        for place in range(max(len(before), len(after))):
            one, other = (side[place] if place < len(side) else ABSENT for side in (before, after))
            yield from differences(one, other, (*path, place))
    elif not same(before, after):
        yield Difference(path, before, after)


def same(before: Any, after: Any) -> bool:
    """Equal as a config means it; NaN equals itself."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        return before.keys() == after.keys() and all(same(before[key], after[key]) for key in before)
    if isinstance(before, list | tuple) and isinstance(after, list | tuple):
        return len(before) == len(after) and all(map(same, before, after))
    if isinstance(before, bool) is not isinstance(after, bool):
        return False
    return before is after or bool(before == after) or bool(before != before and after != after)


def _is_of_dicts(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) > 0 and all(isinstance(item, Mapping) for item in value)
