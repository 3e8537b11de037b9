"""What is said about an option, a kind of component and a component: label -> text, in the order in which it is shown."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from linearsr.core.inspection.offers import supplied_by
from linearsr.core.inspection.options import REQUIRED, UNTYPED, Option, option, source_of, summary, text_about
from linearsr.core.inspection.settings import written_here
from linearsr.core.key_check import KeyPath, builder_keys
from linearsr.core.plugins import claims
from linearsr.core.registries import MODELS
from linearsr.core.registry import Registry
from linearsr.core.runner_keys import KWARGS_GO_TO
from linearsr.core.signatures import accepted_keys, refuse_unknown_keys

Rows = dict[str, str]
UNDESCRIBED = "its docstring does not describe this key"
PASSED_ON = {"EMAHook": "ema_type"}
"""A component of KWARGS_GO_TO -> the option that names the other one, a model of mmengine's."""
SPOKEN_AS_VOWELS = ("a", "e", "i", "o", "LR")
"""What kinds' names begin with where one says "an"."""


def option_rows(component: Any, registry: Registry, path: KeyPath, name: str, node: Mapping[str, Any]) -> Rows:
    """node: the dict that describes the component, as far as the config has one. Raises ConfigError for an unknown name."""
    if name == "type":
        return {"about": f"which {registry.name} is built", "holds": kind_line(registry)}
    sent_on = KWARGS_GO_TO.get(getattr(component, "__name__", ""))
    extra = builder_keys(path) + (sent_on or ())
    refuse_unknown_keys(component, [name], ".".join(map(str, path)) or registry.name, extra, closed=sent_on is not None)
    found = option(component, name)
    rows = {"of": summary(component)}
    if found is None and name in (sent_on or ()):
        key = PASSED_ON[component.__name__]
        other = MODELS.require(node.get(key) or inspect.signature(component).parameters[key].default)
        rows["of"] += f", which passes it to {summary(other)}"
        found, component = option(other, name), other
    if found is None:
        text = written_here((*path, name)) or text_about(component, name) or "passed on by **kwargs"
        return rows | {"about": text, "source": source_of(component)}
    about = found.text or written_here((*path, name)) or _in_protocol(registry, name)
    return rows | taken(Option(name, found.annotation, _default(found, registry), about), component)


def taken(found: Option, taker: Any) -> Rows:
    """Type, default, text and source of an option that `taker` takes."""
    rows = {"type": found.annotation, "default": found.default, "about": found.text or UNDESCRIBED, "source": source_of(taker)}
    return {label: text for label, text in rows.items() if text and text != UNTYPED}


def kind_line(registry: Registry) -> str:
    """What a dict under this registry's keys may be, by name; mmengine's own are counted where it has many."""
    plugins = [name for name in claims(registry.group) if name not in registry.own()]
    parents = sorted(registry.parent.module_dict) if registry.parent else []
    ours = [*registry.own(), *(f"{name} (plugin)" for name in plugins)]
    theirs = [name for name in parents if name not in registry.own()]
    if len(theirs) > MANY and ours:
        return f"{with_article(registry)}: {', '.join(ours)}, and {len(theirs)} of mmengine's"
    return f"{with_article(registry)}: {', '.join([*ours, *theirs]) or 'none is known'}"


def with_article(registry: Registry) -> str:
    """Its name behind its article: "a router", "an attention", "an LR stem"."""
    return f"{'an' if registry.name.startswith(SPOKEN_AS_VOWELS) else 'a'} {registry.name}"


MANY = 12


def kind_rows(registry: Registry) -> Rows:
    """Of a config key that holds components, without a config that says which."""
    protocol = inspect.getdoc(registry.protocol) if registry.protocol else None
    rows = {"holds": kind_line(registry), "about": protocol or "", "keys": ", ".join(registry.keys)}
    rows["plugins"] = f"entry points of the group {registry.group}"
    return {label: text for label, text in rows.items() if text}


def component_rows(component: Any, registry: Registry) -> Rows:
    """Of a component: its docstring and its options, one to a line."""
    lines = []
    for name in accepted_keys(component).names:
        found = option(component, name)
        if found is not None:
            default = _default(found, registry)
            ends = "" if default.startswith(("none", "supplied")) else "default "
            typed = "" if found.annotation == UNTYPED else f": {found.annotation}"
            lines.append(f"{name}{typed}  ({ends}{default.removeprefix('none: ')})")
    return {
        "is": f"{with_article(registry)}; config key {' or '.join(registry.keys)}",
        "about": inspect.getdoc(component) or UNDESCRIBED,
        "options": "\n".join(lines) or "none",
        "source": source_of(component),
    }


def _default(found: Option, registry: Registry) -> str:
    who = supplied_by(registry, found.name)
    if who is None:
        return found.default
    return f"supplied by {who}" + ("" if found.default == REQUIRED else f"; {found.default} elsewhere")


def _in_protocol(registry: Registry, name: str) -> str | None:
    return text_about(registry.protocol, name) if registry.protocol else None
