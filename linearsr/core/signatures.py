"""Which keys a component takes, read from its signature. `build` and the static check of a config both ask here."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from linearsr.core.errors import ConfigError, nearest


@dataclass(frozen=True)
class AcceptedKeys:
    """names: accepted; required: those without a default; open: a **kwargs that no base class closes."""

    names: tuple[str, ...]
    required: tuple[str, ...]
    open: bool

    def accepts(self, name: str) -> bool:
        return self.open or name in self.names


def accepted_keys(component: Callable[..., Any]) -> AcceptedKeys:
    """Keys of a class or function. A class with **kwargs is followed along its MRO until a signature is closed."""
    names: dict[str, bool] = {}
    for function in _constructors(component):
        parameters = list(inspect.signature(function).parameters.values())
        if inspect.isclass(component):
            parameters = parameters[1:]  # self
        for parameter in parameters:
            if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                names.setdefault(parameter.name, parameter.default is parameter.empty)
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            return AcceptedKeys(tuple(names), tuple(n for n, needed in names.items() if needed), open=False)
    return AcceptedKeys(tuple(names), tuple(n for n, needed in names.items() if needed), open=True)


def _constructors(component: Callable[..., Any]) -> list[Callable[..., Any]]:
    if not inspect.isclass(component):
        return [component]
    own: list[Callable[..., Any]] = []
    for cls in component.__mro__:
        if cls.__module__ == "torch.nn.modules.module":  # its *args, **kwargs lead nowhere
            return [*own, lambda self: None]
        if "__init__" in vars(cls) and cls is not object:
            own.append(vars(cls)["__init__"])
    return own or [lambda self: None]


def protocol_members(protocol: type | None) -> list[str]:
    """Names that a component of this protocol must have."""
    if protocol is None:
        return []
    own = {*vars(protocol), *protocol.__annotations__}
    return sorted(name for name in own if name == "__call__" or not name.startswith("_"))


def refuse_unknown_keys(
    component: Callable[..., Any],
    given: Iterable[str],
    where: str,
    extra: Iterable[str] = (),
    closed: bool = False,
) -> None:
    """Raises ConfigError for the first key that `component` does not take.

    where: "the config", a file, an option. extra: names taken besides those of the signature. closed: these are all,
    although the signature ends in **kwargs.
    """
    keys = accepted_keys(component)
    known = [*keys.names, *extra]
    for key in given:
        if key not in known and (closed or not keys.open):
            name = getattr(component, "__name__", str(component))
            hint = nearest(key, known) or "."
            raise ConfigError(f"{where}: {name} has no key {key!r}{hint} Its keys: {', '.join(known) or 'none'}")


def merge_offer(component: Callable[..., Any], given: Mapping[str, Any], offered: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments for `component`: the config's own keys plus those of the caller's offer that it takes.

    Raises ConfigError where both set a key to different values, or where a required key comes from neither.
    """
    keys = accepted_keys(component)
    name = getattr(component, "__name__", str(component))
    arguments = dict(given)
    for key, value in offered.items():
        if key in arguments and arguments[key] is not value and arguments[key] != value:
            raise ConfigError(
                f"{name}: `{key}` is set by the model: {value!r}; the config says {arguments[key]!r}; leave it out"
            )
        if keys.accepts(key):
            arguments[key] = value
    missing = [key for key in keys.required if key not in arguments]
    if missing:
        raise ConfigError(f"{name} needs {', '.join(map(repr, missing))}; add to its dict(type={name!r}, …)")
    return arguments
