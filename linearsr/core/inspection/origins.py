"""Which file of a chain of bases, or which option, gave a key the value that it has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from mmengine.config import Config

from linearsr.core import config as configs
from linearsr.core.inspection.differences import ABSENT, same
from linearsr.core.key_check import KeyPath, dotted


def value_at(tree: Any, path: KeyPath) -> Any:
    """What stands at this path, or ABSENT."""
    for part in path:
        if isinstance(tree, Mapping):
            tree = tree.get(part, ABSENT)
        elif isinstance(tree, list | tuple) and isinstance(part, int) and -len(tree) <= part < len(tree):
            tree = tree[part]
        else:
            return ABSENT
    return tree


def set_by(path: KeyPath, source: str | Path, options: Sequence[str] | Mapping[str, Any] = ()) -> str:
    """`--cfg-options …`, or the file. The key must have a value in the config that `source` and `options` make.

    Of several files that give it the same value, the base counts: the others only repeat it.
    """
    name = dotted(path)
    for option in reversed(configs.parse_options(options)):
        if name == option or name.startswith(f"{option}.") or option.startswith(f"{name}."):
            return f"--cfg-options {option}"
    file = Path(source)
    return str(_shortest(_file_that_sets(path, file.absolute()))) if file.is_file() and file.suffix == ".py" else str(file)


def _file_that_sets(path: KeyPath, file: Path) -> Path:
    value = value_at(_merged(file), path)
    for base in configs._bases(file):
        inherited = value_at(_merged(base), path)
        if inherited is not ABSENT and same(inherited, value):
            return _file_that_sets(path, base)
    return file


@lru_cache(maxsize=32)
def _merged(file: Path) -> dict[str, Any]:
    merged: dict[str, Any] = Config.fromfile(str(file), lazy_import=False).to_dict()
    return merged


def _shortest(file: Path) -> Path:
    here = Path.cwd()
    return file.relative_to(here) if file.is_relative_to(here) else file
