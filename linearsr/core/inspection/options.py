"""One option of a component: its type, its default and what the docstrings say about it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from linearsr.core.inspection.docstrings import describe, first_line
from linearsr.core.signatures import accepted_keys

REQUIRED = "none: must be set"
UNTYPED = "not annotated"


@dataclass(frozen=True)
class Option:
    """annotation, default: as they stand in the signature. text: None where no docstring describes it."""

    name: str
    annotation: str
    default: str
    text: str | None


def option(component: Callable[..., Any], name: str) -> Option | None:
    """The parameter `name` of a class or function, found along the MRO where a class passes **kwargs on; None if it has none.

    Its text comes from the first class of the MRO that describes it, so a subclass may leave that to its base.
    """
    for function in constructors(component):
        parameter = inspect.signature(function).parameters.get(name)
        if parameter is None or parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        return Option(
            name,
            _typed(parameter.annotation),
            REQUIRED if parameter.default is parameter.empty else _shown(parameter.default),
            text_about(component, name),
        )
    return None


def text_about(component: Callable[..., Any], name: str) -> str | None:
    known = accepted_keys(component).names
    documented = [cls for cls in component.__mro__ if cls is not object] if inspect.isclass(component) else [component]
    for part in documented:
        for docstring in (part.__doc__, vars(part).get("__init__", part).__doc__ if inspect.isclass(part) else None):
            text = describe(docstring, name, known)
            if text:
                return text
    return None


def constructors(component: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    if not inspect.isclass(component):
        yield component
        return
    for cls in component.__mro__:
        if "__init__" in vars(cls) and cls is not object:
            yield vars(cls)["__init__"]


def summary(component: Any) -> str:
    """ "LinearDiT: Denoiser of `depth` blocks …"; the name alone where it says nothing about itself."""
    line = first_line(component)
    name = getattr(component, "__name__", str(component))
    return f"{name}: {line}" if line else name


def source_of(component: Any) -> str:
    """`file:line`, from the current folder where it lies below it; the module's name for what is compiled."""
    place = _place(inspect.unwrap(component))
    if place is None:
        return str(getattr(component, "__module__", "unknown"))
    here, (file, line) = Path.cwd(), place
    return f"{file.relative_to(here) if file.is_relative_to(here) else file}:{line}"


@lru_cache(maxsize=256)
def _place(component: Any) -> tuple[Path, int] | None:
    try:
        return Path(inspect.getsourcefile(component) or ""), inspect.findsource(component)[1] + 1
    except (OSError, TypeError):
        return None


def _typed(annotation: Any) -> str:
    if annotation is inspect.Parameter.empty:
        return UNTYPED
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation).replace("typing.", "")


def _shown(default: Any) -> str:
    """The value; a function by its name, since its address says nothing."""
    return getattr(default, "__name__", repr(default)) if callable(default) else repr(default)
