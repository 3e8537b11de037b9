"""Is the package there? Asked when a guidance is built, before anything is loaded."""

from __future__ import annotations

from importlib.util import find_spec

from linearsr.core.errors import MissingExtraError


def require_package(who: str, module: str, package: str) -> None:
    """Raises MissingExtraError if `module`, which the distribution `package` brings, is not installed. Imports nothing."""
    try:
        found = find_spec(module) is not None
    except ModuleNotFoundError:  # nor is the package around it
        found = False
    if not found:
        raise MissingExtraError(who, package, "guidance")
