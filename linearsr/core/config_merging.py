"""What merging leaves behind: keys of a type that was replaced, and a config's own helpers."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from mmengine.config import Config

from linearsr.core.key_check import builder_keys, component_of, dotted, typed_nodes
from linearsr.core.signatures import accepted_keys


class OverrideNote(UserWarning):
    """An override changed a `type`, and keys of the old type that the new one lacks were dropped."""


def drop_stale_keys(before: Config, after: Config, by: str, explicit: Sequence[str] = ()) -> None:
    """Where a `type` changed, drops the keys that came with the old type and that the new one does not take."""
    old = {path: node for path, node, _ in typed_nodes(before)}
    for path, node, registry in list(typed_nodes(after)):
        if path not in old or old[path].get("type") == node.get("type"):
            continue
        if not isinstance(node.get("type"), str) or registry.get(node["type"]) is None:
            continue  # the key check will say so
        keys = accepted_keys(component_of(path, node, registry))
        stale = [
            key
            for key, value in old[path].items()
            if key != "type"
            and node.get(key) == value
            and not keys.accepts(key)
            and key not in builder_keys(path)
            and dotted((*path, key)) not in explicit
        ]
        for key in stale:
            node.pop(key)  # type: ignore[attr-defined]
        if stale:
            names = ", ".join(stale)
            warnings.warn(
                f"{by}: {dotted(path)} is now {node['type']}; dropped {names} of {old[path].get('type')}", OverrideNote, 4
            )


def strip_helpers(cfg: Config) -> None:
    """Drops names that begin with an underscore, and what merging has done with `_delete_`."""
    for key in [key for key in cfg if key.startswith("_")]:
        cfg.pop(key)
    for _, node, _ in list(typed_nodes(cfg)):
        node.pop("_delete_", None)  # type: ignore[attr-defined]
