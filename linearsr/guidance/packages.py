"""Is the package there? Asked when a guidance is built, before anything is loaded."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from linearsr.core.errors import MissingExtraError


def require_package(who: str, module: str, package: str) -> Path:
    """The folder of `module`, which the distribution `package` brings. Imports nothing. Raises MissingExtraError where there is
    none."""
    try:
        found = find_spec(module)
    except ModuleNotFoundError:  # nor is the package around it
        found = None
    if found is None or found.origin is None:
        raise MissingExtraError(who, package, "guidance")
    return Path(found.origin).parent
