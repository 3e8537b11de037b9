"""The static walk of a whole config: every key is held against the signature of the component it is meant for.

Nothing is built. mmengine's Runner builds hooks, datasets and metrics through its own root registries, which use our
`get` but not our `build`; so keys are checked here, before anything heavy starts, by the function that `build` uses.
What a plugin does with dicts among its own options is its own affair and is not looked into.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from linearsr.core.errors import ConfigError, LinearSRError, nearest
from linearsr.core.registries import BY_KEY
from linearsr.core.registry import Registry
from linearsr.core.runner_keys import BUILDER_KEYS, DEFAULT_TYPES, KWARGS_GO_TO, PHASES, plain_tables, runner_keys
from linearsr.core.signatures import refuse_unknown_keys

KeyPath = tuple[str | int, ...]
STAGES: KeyPath = ("stages",)
Origin = Callable[[KeyPath], str]
"""Where a key was written: a file, or the option that set it."""


def dotted(path: KeyPath) -> str:
    return ".".join(map(str, path))


def check_config(cfg: Mapping[str, Any], origin: Origin) -> None:
    """Raises UnknownComponentError, PluginLoadError or ConfigError for the first thing that no component takes."""
    known = runner_keys()
    for key in cfg:
        if key not in known:
            hint = nearest(key, known) or "; a helper variable of a config begins with an underscore"
            raise ConfigError(f"{origin((key,))}: no setting is called {key!r}{hint}")
    if cfg.get("default_scope", "linearsr") != "linearsr":
        raise ConfigError(
            f"{origin(('default_scope',))}: default_scope is {cfg['default_scope']!r}; wanted 'linearsr' or nothing"
        )
    for phase in PHASES.values():
        absent = [key for key in phase if cfg.get(key) is None]
        if 0 < len(absent) < len(phase):
            present = next(key for key in phase if key not in absent)
            raise ConfigError(f"{origin((present,))}: {present} is set without {' and '.join(absent)}; set all of them or none")
    for path, table in plain_tables().items():
        _check_plain(_at(cfg, path), table, path, origin)
    for path, node, registry in typed_nodes(cfg):
        _check_component(path, node, registry, origin)


def typed_nodes(
    node: Any, path: KeyPath = (), registry: Registry | None = None
) -> Iterator[tuple[KeyPath, Mapping[str, Any], Registry]]:
    """Every dict of the config that describes a component, with its path and the registry that its key names."""
    node = getattr(node, "_cfg_dict", node)  # mmengine's Config is a mapping in all but name
    if isinstance(node, list | tuple):
        for index, item in enumerate(node):
            yield from typed_nodes(item, (*path, index), registry)
    elif isinstance(node, Mapping):
        labels = registry is not None and _is_labelled(node, path)  # default_hooks: labels of one kind of component
        if registry is not None and not labels:
            yield path, node, registry
            if not _is_known(registry, node, path):
                return
        for key, value in node.items():
            if (*path, key) == STAGES:
                continue  # what differs in a stage is half a config; `stages_of` checks the whole
            yield from typed_nodes(value, (*path, key), registry if labels else BY_KEY.get(key))


def component_of(path: KeyPath, node: Mapping[str, Any], registry: Registry) -> Any:
    """The class or function that `node` describes."""
    name = _type_of(path, node)
    if name is None:
        hint = nearest("type", [key for key in node if isinstance(key, str)])
        raise ConfigError(f'the {registry.name} is described as dict(type="Name", …), got {dict(node)!r}{hint}')
    return registry.require(name)


def builder_keys(path: KeyPath) -> tuple[str, ...]:
    return BUILDER_KEYS.get(_key(path), ())


def _check_component(path: KeyPath, node: Mapping[str, Any], registry: Registry, origin: Origin) -> None:
    try:
        component = component_of(path, node, registry)
    except LinearSRError as error:
        error.args = (f"{origin((*path, 'type'))}: {dotted(path)}: {error}", *error.args[1:])
        raise
    sink = KWARGS_GO_TO.get(getattr(component, "__name__", ""))
    extra = builder_keys(path) + (sink or ())
    for key in node:
        if key not in ("type", "_scope_"):
            where = f"{origin((*path, key))}: {dotted(path)}"
            refuse_unknown_keys(component, [key], where, extra, closed=sink is not None)


def _check_plain(node: Any, known: Iterable[str], path: KeyPath, origin: Origin) -> None:
    if node is None:
        return
    if not isinstance(node, Mapping):
        raise ConfigError(f"{origin(path)}: {dotted(path)} is {node!r}; wanted a dict")
    for key in node:
        if key not in known:
            hint = nearest(key, known) or "."
            raise ConfigError(f"{origin((*path, key))}: {dotted(path)} has no key {key!r}{hint} Its keys: {', '.join(known)}")


def _at(cfg: Any, path: KeyPath) -> Any:
    for part in path:
        cfg = None if cfg is None else cfg.get(part)
    return cfg


def _is_labelled(node: Mapping[str, Any], path: KeyPath) -> bool:
    """A dict of components by label, rather than one component."""
    nested = [value for value in node.values() if value is not None]
    return _type_of(path, node) is None and all(isinstance(value, Mapping | list | tuple) for value in nested)


def _is_known(registry: Registry, node: Mapping[str, Any], path: KeyPath) -> bool:
    """Ours or mmengine's, so that the keys inside mean what they mean everywhere."""
    name = str(_type_of(path, node))
    return name in registry.own() or (registry.parent is not None and name in registry.parent.module_dict)


def _type_of(path: KeyPath, node: Mapping[str, Any]) -> Any:
    if node.get("type") is not None:
        return node["type"]
    return DEFAULT_TYPES.get(_key(path))


def _key(path: KeyPath) -> str:
    """The config key that holds the node: list positions do not count."""
    return next((part for part in reversed(path) if isinstance(part, str)), "")
