"""mmengine's Registry with lazy homes, entry points on a miss, checked keys and errors that help."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import mmengine.registry

from linearsr.core import plugins
from linearsr.core.errors import ConfigError, LinearSRError, PluginLoadError, UnknownComponentError, nearest
from linearsr.core.signatures import merge_offer, protocol_members, refuse_unknown_keys


class Registry(mmengine.registry.Registry):
    """One extension point.

    name:     what an error calls one of its components ("attention")
    homes:    packages whose import registers our own components
    group:    entry-point group in which distributions declare theirs
    keys:     config keys that hold a component of this kind
    protocol: what a component must do
    parent:   mmengine's root registry of that kind, where mmengine has one
    """

    def __init__(
        self,
        name: str,
        *,
        homes: Sequence[str],
        group: str,
        keys: Sequence[str],
        protocol: type | None = None,
        parent: mmengine.registry.Registry | None = None,
    ):
        super().__init__(name, parent=parent, scope="linearsr", locations=list(homes))
        self.homes = tuple(homes)
        self.group = group
        self.keys = tuple(keys)
        self.protocol = protocol

    def get(self, key: str) -> Any | None:
        """Ours, mmengine's, then the one plugin of that name; "pkg.mod.Class" is imported. None if nobody has it."""
        self.import_from_location()
        if "." in key:
            return super().get(key) if key.split(".")[0] in ("mmengine", "linearsr") else _import_dotted(key)
        ours = self._module_dict.get(key) or (self.parent and self.parent.module_dict.get(key))
        return plugins.load_claim(self.group, key, ours) or ours

    def __contains__(self, key: object) -> bool:
        return key in self.names()

    def names(self) -> list[str]:
        """Ours, mmengine's where it has such a registry, and the plugins', which are not imported."""
        return sorted({*self.own(), *(self.parent.module_dict if self.parent else ()), *plugins.claims(self.group)})

    def own(self) -> dict[str, Any]:
        """What this package registers, by name."""
        self.import_from_location()
        return dict(sorted(self._module_dict.items()))

    def require(self, key: Any) -> Any:
        """As `get`, but an unknown name is an UnknownComponentError that lists the known ones."""
        if not isinstance(key, str):
            raise ConfigError(f'the type of the {self.name} is {key!r}; wanted a name in quotes, such as type="Name"')
        component = self.get(key)
        if component is None:
            known = self.names()
            raise UnknownComponentError(
                f"no {self.name} named {key!r}{nearest(key, known) or '.'} Known: {', '.join(known) or 'none'}"
            )
        return component

    def build(self, cfg: Mapping[str, Any], **offered: Any) -> Any:
        """An instance of cfg["type"]. cfg is not mutated.

        offered: what the caller supplies (dim, latent_channels, …); each is passed if the component takes it.
        Raises UnknownComponentError, PluginLoadError, or ConfigError for an unknown, contradicted or missing key and for a
        component that lacks a member of the protocol.
        """
        if not isinstance(cfg, Mapping) or "type" not in cfg:
            raise ConfigError(f'the {self.name} is described as dict(type="Name", …), got {cfg!r}')
        component = self.require(cfg["type"])
        given = {key: value for key, value in cfg.items() if key not in ("type", "_scope_")}
        refuse_unknown_keys(component, given, f"{self.name} {cfg['type']!r}")
        arguments = merge_offer(component, given, offered)
        try:
            made = component(**arguments)
        except (TypeError, ValueError, AssertionError, ArithmeticError) as error:
            if isinstance(error, LinearSRError):
                raise
            raise ConfigError(f"{cfg['type']} cannot be built from {given}: {type(error).__name__}: {error}") from error
        lacking = [name for name in protocol_members(self.protocol) if not hasattr(made, name)]
        if lacking:
            raise ConfigError(f"{cfg['type']} is no {self.name}: it lacks {', '.join(lacking)}")
        return made


def _import_dotted(key: str) -> Any | None:
    module_name, _, attribute = key.rpartition(".")
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and module_name.startswith(error.name):
            return None  # no such module: an unknown name, which `require` reports
        raise PluginLoadError(f"{key!r} does not load: {error}") from error
    except Exception as cause:
        raise PluginLoadError(f"{key!r} does not load: {type(cause).__name__}: {cause}") from cause
    return getattr(module, attribute, None)
