"""Which components take an option, where no config says which one is meant; and what to say where none does."""

from __future__ import annotations

from typing import Any

from linearsr.core.errors import nearest
from linearsr.core.registries import ALL, BY_KEY
from linearsr.core.registry import Registry
from linearsr.core.runner_keys import KWARGS_GO_TO, runner_keys
from linearsr.core.signatures import accepted_keys


def takers_of(registry: Registry, option: str) -> dict[str, Any]:
    """Components that take it: ours, and mmengine's where none of ours does. Plugins are not loaded for a search."""
    for components in (registry.own(), _components(registry)):
        found = {
            name: component
            for name, component in components.items()
            if option in accepted_keys(component).names or option in KWARGS_GO_TO.get(name, ())
        }
        if found:
            return found
    return {}


def unknown_in(registry: Registry, part: str) -> str:
    """What to say where no component of a kind has this name or takes this option."""
    options = {name for component in _components(registry).values() for name in accepted_keys(component).names}
    hint = nearest(part, [*registry.names(), *options])
    advice = "; name a plugin's option as Component.key, and the config of a key of your own with --config"
    return f"no {registry.name} of linearsr or mmengine is called {part!r} or takes it{hint or advice}"


def _components(registry: Registry) -> dict[str, Any]:
    """Ours and mmengine's, which are imported anyway."""
    return registry.own() | (registry.parent.module_dict if registry.parent else {})


def unknown(first: str) -> str:
    """What to say of a key whose first part is nothing: components that take an option of this name, or the nearest name."""
    components = [name for registry in ALL for name in registry.names()]
    takers = [f"{name}.{first}" for registry in ALL for name in takers_of(registry, first)]
    named = f"; options of this name: {', '.join(takers[:5])}{', …' if len(takers) > 5 else ''}" if takers else ""
    hint = named or nearest(first, [*runner_keys(), *BY_KEY, *components])
    return f"no setting, component or config key is called {first!r}{hint}"
