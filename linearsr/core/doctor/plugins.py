"""Entry points of other distributions in our groups: each is loaded, as a config that names it would."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from linearsr.core.doctor.finding import Finding, cause_of
from linearsr.core.errors import nearest

if TYPE_CHECKING:
    from importlib_metadata import EntryPoint

    from linearsr.core.registry import Registry

PREFIX = "linearsr."


def plugins() -> list[Finding]:
    """One for each name that a distribution claims. A plugin that fails breaks only the configs that name it."""
    claims = _claims()
    if not claims:
        return [Finding("plugins", "ok", "no distribution declares one")]
    from linearsr.core.registries import ALL

    groups = {registry.group: registry for registry in ALL}
    return [_examined(group, name, points, groups.get(group), groups) for (group, name), points in sorted(claims.items())]


def _claims() -> dict[tuple[str, str], list[EntryPoint]]:
    """(group, name) -> the entry points that claim it."""
    from importlib_metadata import entry_points

    claims: dict[tuple[str, str], list[EntryPoint]] = defaultdict(list)
    for point in entry_points():
        if point.group.startswith(PREFIX):
            claims[point.group, point.name].append(point)
    return claims


def _examined(group: str, name: str, points: Sequence[EntryPoint], registry: Registry | None, known: Iterable[str]) -> Finding:
    label, owners = f"{group}: {name}", " and ".join(map(_owner, points))
    if registry is None:
        hint = nearest(group, known) or f"; the groups are {', '.join(known)}"
        detail = f"{owners} declares it in a group that nothing reads{hint}"
        return Finding(
            label, "warning", detail, f"correct the group in the pyproject.toml of {owners}, or {_uninstall(points)}"
        )
    try:
        registry.require(name)
    except (Exception, SystemExit) as error:  # the plugin's own, whatever it does when imported
        return Finding(label, "warning", f"{owners} at {points[0].value}: {cause_of(error)}", _mend(points, error))
    return Finding(label, "ok", f"{owners} at {points[0].value}")


def _mend(points: Sequence[EntryPoint], error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"pip install {shlex.quote(error.name.partition('.')[0])}, which it lacks, or {_uninstall(points)}"
    return f"{_uninstall(points[-1:])}, or install a version of it that loads"


def _uninstall(points: Sequence[EntryPoint]) -> str:
    return f"pip uninstall {' '.join(sorted({point.dist.name for point in points if point.dist})) or 'its distribution'}"


def _owner(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "an unknown distribution"
