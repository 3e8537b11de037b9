"""One component of any kind against the laws of its kind: what tools/check_plugin.py calls.

A kind's laws are found by convention, as `check_<kind>` in `<home of its registry>.conformance`. Such a function takes
`cls` and `options`, or `make`, a factory, or else an instance; and keywords of its own.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from linearsr.core.conformance import ConformanceReport
from linearsr.core.errors import ConfigError, LinearSRError, nearest
from linearsr.core.inspection.offers import supplied_by
from linearsr.core.plugins import load_named
from linearsr.core.registries import ALL
from linearsr.core.registry import Registry
from linearsr.core.signatures import accepted_keys, merge_offer, protocol_members, refuse_unknown_keys

Check = Callable[..., ConformanceReport]


def check_component(
    target: str, kind: str = "attention", options: Mapping[str, Any] | None = None, settings: Mapping[str, Any] | None = None
) -> ConformanceReport:
    """target: "module:Class", as in an entry point, or a name that a config may hold; options: its own keys, as in a config.

    settings: keywords of the kind's check (dim, num_heads, timing, …). Raises ConfigError for an unknown kind, key or
    setting and for a required key that is not there, UnknownComponentError and PluginLoadError; laws broken are in the report.
    """
    registry, check = _laws_of(kind)
    settings, options = dict(settings or {}), dict(options or {})
    refuse_unknown_keys(check, settings, f"the check of {kind}")
    component = _load(target, registry)
    refuse_unknown_keys(component, options, f"the options of {target}")
    parameters = inspect.signature(check).parameters
    if "cls" in parameters:
        _refuse_missing(component, options, registry)
        return check(component, options, **settings)
    make = partial(_build, target, component, options, registry)
    return check(make if "make" in parameters else make(), **settings)


def settings_of(kind: str) -> tuple[str, ...]:
    """Keywords that the check of a kind takes. Raises ConfigError for an unknown kind."""
    _, check = _laws_of(kind)
    return accepted_keys(check).names


def kinds() -> dict[str, Registry]:
    """Kinds that have laws, by what `kind_of` calls them."""
    return {kind_of(registry): registry for registry in ALL if _check(registry)}


def _laws_of(kind: str) -> tuple[Registry, Check]:
    for registry in ALL:
        if kind_of(registry) == kind and (check := _check(registry)):
            return registry, check
    known = list(kinds())
    raise ConfigError(f"no laws for the kind {kind!r}{nearest(kind, known) or '.'} Kinds: {', '.join(known)}")


def kind_of(registry: Registry) -> str:
    """Its entry-point group in the singular: "attention", "router", "time_grid", …"""
    return registry.group.rpartition(".")[-1].removesuffix("s")


def _check(registry: Registry) -> Check | None:
    for home in registry.homes:
        if home.startswith("linearsr.") and find_spec(f"{home}.conformance"):
            check = getattr(import_module(f"{home}.conformance"), f"check_{kind_of(registry)}", None)
            if check:
                return check
    return None


def _load(target: str, registry: Registry) -> Any:
    if ":" not in target:
        others = [kind for kind, other in kinds().items() if target in other]
        if others and target not in registry:
            raise ConfigError(f"{target} is no {registry.name}; try it as --kind {others[0]}")
        return registry.require(target)
    return load_named(target, repr(target), "a class")


def _refuse_missing(component: Any, options: Mapping[str, Any], registry: Registry) -> None:
    needed = accepted_keys(component).required
    missing = [key for key in needed if key not in options and not supplied_by(registry, key)]
    if missing:
        name = getattr(component, "__name__", str(component))
        raise ConfigError(f"{name} needs {', '.join(map(repr, missing))}; add --options {missing[0]}=…")


def _build(target: str, component: Callable[..., Any], options: Mapping[str, Any], registry: Registry) -> Any:
    """As `Registry.build`, of a component that need not be registered."""
    arguments = merge_offer(component, options, {})
    try:
        made = component(**arguments)
    except LinearSRError:
        raise
    except Exception as cause:
        raise ConfigError(f"{target} cannot be built from {options}: {type(cause).__name__}: {cause}") from cause
    if lacking := [name for name in protocol_members(registry.protocol) if not hasattr(made, name)]:
        raise ConfigError(f"{target} is no {registry.name}: it lacks {', '.join(lacking)}")
    return made
