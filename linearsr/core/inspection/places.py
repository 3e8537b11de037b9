"""From a dotted key to what takes it: one step for each part of the key, with a config at hand or without."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from linearsr.core.errors import ConfigError, nearest
from linearsr.core.inspection.differences import ABSENT
from linearsr.core.inspection.options import source_of, summary
from linearsr.core.inspection.origins import value_at
from linearsr.core.inspection.rows import (
    UNDESCRIBED,
    Rows,
    component_rows,
    kind_line,
    kind_rows,
    option_rows,
    taken,
    with_article,
)
from linearsr.core.inspection.searching import takers_of, unknown, unknown_in
from linearsr.core.inspection.settings import setting, table_option
from linearsr.core.key_check import KeyPath, builder_keys, component_of, dotted, typed_nodes
from linearsr.core.registries import ALL, BY_KEY
from linearsr.core.registry import Registry
from linearsr.core.runner_keys import DEFAULT_TYPES, plain_tables, runner_keys
from linearsr.core.signatures import accepted_keys


class Tree:
    """A config with the place of every component in it; an empty one where no config is given."""

    def __init__(self, cfg: Mapping[str, Any]):
        self.cfg = cfg
        self.components = {path: (node, registry) for path, node, registry in typed_nodes(cfg)}
        self.tables = plain_tables()

    def at(self, path: KeyPath) -> Any:
        return value_at(self.cfg, path)

    def holds_component(self, path: KeyPath) -> bool:
        return any(held[: len(path)] == path for held in self.components)


@dataclass(frozen=True)
class Place:
    """Where a key stands.

    rows:      what is known of it as an option of its holder
    registry:  the kind of component that its value is, or holds in a list or under labels
    component: the one that it is, by the config; assumed: by what is built where the config names none
    """

    tree: Tree
    path: KeyPath
    rows: Rows = field(default_factory=dict)
    registry: Registry | None = None
    component: Any = None
    assumed: bool = False

    def child(self, part: str | int) -> Place:
        """One part further. Raises ConfigError for what nothing takes."""
        path = (*self.path, part)
        if self.path in self.tree.tables:
            return _entered(self.tree, path, _table_rows(self.tree, self.path, part))
        if self.registry is not None and self._is_asked_of_its_component(part):
            described = self.tree.components.get(self.path, ({}, None))[0]
            return _entered(self.tree, path, option_rows(self.component, self.registry, self.path, str(part), described))
        if self.registry is not None:
            return self._of_kind(part)
        return self._in_value(part)

    def told(self) -> Rows:
        """All that there is to say."""
        if self.component is not None and self.registry is not None and not self.rows:
            return component_rows(self.component, self.registry)
        rows = dict(self.rows)
        if self.component is not None and self.registry is not None:
            rows["assumed" if self.assumed else "holds"] = f"{summary(self.component)}"
            rows["options"] = ", ".join(accepted_keys(self.component).names) or "none"
            if not self.assumed and "about" not in rows:
                rows |= {"about": inspect.getdoc(self.component) or UNDESCRIBED, "source": source_of(self.component)}
        if self.registry is not None and self.path not in self.tree.components:
            rows = kind_rows(self.registry) | rows if not self.rows else rows | {"may hold": kind_line(self.registry)}
        if rows.get("about") == UNDESCRIBED and self.registry is not None:
            of_all = inspect.getdoc(self.registry.protocol) if self.registry.protocol else None
            rows["about"] = f"the {self.registry.name}: {of_all}" if of_all else f"the {self.registry.name} that is built"
        if self.path in self.tree.tables:
            rows["keys"] = ", ".join(self.tree.tables[self.path])
        return rows

    def _is_asked_of_its_component(self, part: str | int) -> bool:
        if self.component is None or isinstance(part, int):
            return False
        return not self.assumed or part in ("type", *builder_keys(self.path), *accepted_keys(self.component).names)

    def _of_kind(self, part: str | int) -> Place:
        assert self.registry is not None
        path, registry, value = (*self.path, part), self.registry, self.tree.at(self.path)
        if value not in (ABSENT, None) and self.path not in self.tree.components:  # a list, or labels
            if self.tree.at(path) is ABSENT:
                known = [str(place) for place in (value if isinstance(value, Mapping) else range(len(value)))]
                hint = nearest(str(part), known) or "."
                raise ConfigError(f"{dotted(self.path)} of the config has no {part!r}{hint} It has {', '.join(known)}")
            rows = {"is": f"{with_article(registry)} of {dotted(self.path)}"}
            if self.tree.at(path) is None:
                rows["about"] = "None leaves it out"
            return _entered(self.tree, path, rows, registry)
        if isinstance(part, int):
            return Place(self.tree, path, {}, registry)
        if part == "type":
            return Place(self.tree, path, {"about": f"which {registry.name} is built", "holds": kind_line(registry)})
        if part in registry.names():
            return Place(self.tree, path, {}, registry, registry.require(part))
        takers = takers_of(registry, part)
        if not takers:
            raise ConfigError(unknown_in(registry, part))
        if len(takers) == 1:
            return Place(self.tree, self.path, {}, registry, *takers.values()).child(part)
        named = ", ".join(f"{name}.{part}" for name in takers)
        return Place(self.tree, path, {"about": f"an option of several: {named}; name one of these, or a config: --config"})

    def _in_value(self, part: str | int) -> Place:
        value = self.tree.at(self.path)
        if isinstance(value, Mapping) and str(part) in value:
            part = str(part)  # a number that stands for an entry of a list which is merged into
        path = (*self.path, part)
        if value is not ABSENT and self.tree.at(path) is ABSENT:
            inside = f", which has no {part!r}" if isinstance(value, Mapping | list | tuple) else "; there are no keys below it"
            raise ConfigError(f"{dotted(self.path)} is {value!r}{inside}")
        inside = f"part of the value of {dotted(self.path)}, which goes as a whole to what takes it"
        return Place(self.tree, path, self.rows | {"is": self.rows.get("is", inside)})


def place_of(key: str, cfg: Mapping[str, Any]) -> Place:
    """key: a setting with what is below it, a component with an option, or a config key that holds components.

    Raises ConfigError with the nearest known.
    """
    parts = [int(part) if part.isdigit() else part for part in key.split(".")]
    first, tree = parts[0], Tree(cfg)
    if "" in parts or not isinstance(first, str):
        raise ConfigError(f"a key is names with dots between them, such as model.denoiser.depth; got {key!r}")
    if first in runner_keys():
        place = _entered(tree, (first,), _setting_rows(first))
    elif first in BY_KEY:
        place = Place(tree, (first,), {}, BY_KEY[first])
    else:
        holder = next((registry for registry in ALL if first in registry.names()), None)
        if holder is None:
            raise ConfigError(unknown(first))
        place = Place(tree, (first,), {}, holder, holder.require(first))
    for part in parts[1:]:
        place = place.child(part)
    return place


def _entered(tree: Tree, path: KeyPath, rows: Rows, registry: Registry | None = None) -> Place:
    """What the value at `path` is, from the config or, where it has none, from the key's name."""
    if path in tree.components:
        node, registry = tree.components[path]
        return Place(tree, path, rows, registry, component_of(path, node, registry))
    last = path[-1]
    if not isinstance(last, str) or last not in BY_KEY:
        return Place(tree, path, rows, registry)
    if tree.at(path) in (ABSENT, None):
        registry, default = BY_KEY[last], DEFAULT_TYPES.get(last)
        return Place(tree, path, rows, registry, default and registry.require(default), assumed=True)
    return Place(tree, path, rows, BY_KEY[last] if tree.holds_component(path) else registry)


def _setting_rows(name: str) -> Rows:
    found, runner = setting(name)
    return {"of": "the runner: a setting at the top of a config"} | taken(found, runner)


def _table_rows(tree: Tree, path: KeyPath, part: str | int) -> Rows:
    if part not in tree.tables[path]:
        hint = nearest(str(part), tree.tables[path]) or "."
        raise ConfigError(f"{dotted(path)} has no key {part!r}{hint} Its keys: {', '.join(tree.tables[path])}")
    found = table_option(path, str(part))
    if found is None:
        return {"of": dotted(path)}
    option, taker = found
    return {"of": summary(taker)} | taken(option, taker)
