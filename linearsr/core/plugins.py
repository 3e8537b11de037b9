"""Entry points of installed distributions: found without importing them, loaded one at a time, blamed by name."""

import sys
from functools import lru_cache
from typing import Any

from importlib_metadata import EntryPoint, entry_points

from linearsr.core.errors import PluginLoadError


@lru_cache(maxsize=8)
def _groups(path: tuple[str, ...]) -> dict[str, dict[str, tuple[EntryPoint, ...]]]:
    """group -> name -> entry points, of everything installed on this sys.path."""
    found: dict[str, dict[str, tuple[EntryPoint, ...]]] = {}
    for point in entry_points():
        names = found.setdefault(point.group, {})
        names[point.name] = (*names.get(point.name, ()), point)
    return found


def claims(group: str) -> dict[str, tuple[EntryPoint, ...]]:
    """name -> the entry points that claim it. Installed distributions are read once per sys.path."""
    return _groups(tuple(sys.path)).get(group, {})


def distribution(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "an unknown distribution"


def summary(point: EntryPoint) -> str:
    """The distribution's one line about itself; the plugin is not imported for it."""
    return (point.dist.metadata["Summary"] or "") if point.dist else ""


def load_claim(group: str, name: str, ours: Any = None) -> Any | None:
    """The one plugin of that name, or None. Raises PluginLoadError if two claim it, if it claims a name of ours
    (`ours`, what we hold under that name), or if its import fails: with the real cause chained."""
    points = claims(group).get(name, ())
    owners = [distribution(point) for point in points]
    if ours is not None and points:
        raise PluginLoadError(
            f"{group}: {' and '.join(owners)} claims the name {name!r}, which is {ours.__module__}.{ours.__qualname__}; "
            "the plugin must take another name, or be uninstalled"
        )
    if len(points) > 1:
        raise PluginLoadError(f"{group}: the name {name!r} is claimed by {' and by '.join(owners)}; uninstall one of them")
    if not points:
        return None
    try:
        return points[0].load()
    except Exception as cause:  # whatever the plugin's module raises is its own; we say whose it is
        raise PluginLoadError(
            f"{group}: {owners[0]} provides {name!r} at {points[0].value!r}, which does not load: "
            f"{type(cause).__name__}: {cause}"
        ) from cause


def load_named(target: str, label: str, wanted: str) -> Any:
    """target "module:name" -> what can be called under that name. label: how a message calls it; wanted: what it should be.

    Raises PluginLoadError with the real cause chained.
    """
    try:
        found = EntryPoint(name=target, value=target, group="").load()
    except Exception as cause:  # whatever the module raises is its own
        raise PluginLoadError(f"{label} does not load: {type(cause).__name__}: {cause}") from cause
    if not callable(found):
        raise PluginLoadError(f"{label} is of type {type(found).__name__}; wanted {wanted}")
    return found
