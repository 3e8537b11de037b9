"""Optional parts: the extras of linearsr's own metadata."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution

from linearsr.core.doctor.finding import Finding
from linearsr.core.doctor.packages import NAME, installed, requirements


def extras() -> list[Finding]:
    """One for each extra: what it brings, or what of it is not here. None is needed."""
    try:
        names = distribution(NAME).metadata.get_all("Provides-Extra") or []
    except PackageNotFoundError:
        return []  # `packages` says so
    return [_extra(name) for name in sorted(names)]


def _extra(name: str) -> Finding:
    lacking, here = [], []
    for requirement in _asked_for(name, frozenset()):
        version = installed(requirement.name)
        if version is not None and requirement.specifier.contains(version, prereleases=True):
            here.append(f"{requirement.name} {version}")
        else:
            lacking.append(f"{requirement.name} {version or 'not installed'}, wanted {requirement.specifier or 'any'}")
    if not lacking:
        return Finding(name, "ok", ", ".join(here))
    return Finding(name, "absent", "; ".join(lacking), f"pip install '{NAME}[{name}]'")


def _asked_for(extra: str, seen: frozenset[str]) -> Iterator:
    """Its requirements; an extra that names others of ours asks for theirs."""
    for requirement in requirements(extra):
        if requirement.name != NAME:
            yield requirement
            continue
        for other in sorted(requirement.extras - seen - {extra}):
            yield from _asked_for(other, seen | {extra})
