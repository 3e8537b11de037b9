"""Load a Python config: `_base_` files, overrides, and the key check, in that order.

Text configs only (`type="Name"`), so that every type passes a registry: plugins, typo hints and key checks work everywhere.
"""

from __future__ import annotations

import ast
import hashlib
import json
import traceback
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from pprint import pformat
from typing import Any

from mmengine.config import Config, DictAction

from linearsr.core.config_merging import drop_stale_keys, strip_helpers
from linearsr.core.errors import ConfigError, LinearSRError
from linearsr.core.key_check import KeyPath, check_config, dotted
from linearsr.core.stages import CURRICULUM, STAGES, stages_of


class RunConfig(Config):
    """mmengine's Config, written by pprint: yapf, its own writer, can take minutes over a nested dict with long paths."""

    @property
    def pretty_text(self) -> str:
        items = self.to_dict().items()
        return "\n".join(f"{key} = {pformat(value, width=120, sort_dicts=False)}" for key, value in items) + "\n"


def load_config(path: str | Path, options: Sequence[str] | Mapping[str, Any] = ()) -> RunConfig:
    """The merged, checked config.

    path: a Python file. options: `["a.b=1", …]` as on the command line, or {"a.b": 1}.
    Names that begin with an underscore are the file's own helpers and are dropped.
    Raises ConfigError, UnknownComponentError or PluginLoadError; the message names the file or the option.
    """
    file = Path(path)
    chosen = parse_options(options)
    cfg = _load_merged(file)
    if chosen:
        before = Config(cfg.to_dict())
        try:
            cfg.merge_from_dict(dict(chosen))
        except (KeyError, TypeError, IndexError, AttributeError, AssertionError) as error:
            raise ConfigError(f"--cfg-options {' '.join(chosen)} does not fit the config: {error}") from error
        drop_stale_keys(before, cfg, "--cfg-options", explicit=tuple(chosen))
    strip_helpers(cfg)
    bases = _base_chain(file)

    def origin(at: KeyPath) -> str:
        name = dotted(at)
        for option in chosen:
            if option == name or option.startswith(f"{name}.") or name.startswith(f"{option}."):
                return f"--cfg-options {option}"
        return str(_written_in(at, file, bases))

    check_config(cfg, origin)
    checked = RunConfig(cfg.to_dict(), filename=str(file))
    if STAGES in checked:
        stages_of(checked)  # each is a config of its own, which must pass the check too
    elif CURRICULUM in checked:
        raise ConfigError(f"{origin((CURRICULUM,))}: curriculum is set without stages; set stages=[dict(name=…), …] too")
    return checked


def parse_options(options: Sequence[str] | Mapping[str, Any], flag: str = "--cfg-options") -> dict[str, Any]:
    """`["a.b=[1,2]"]` -> {"a.b": [1, 2]}, values read as mmengine reads them, and with a { as Python. flag: named in errors.

    mmengine's reading knows no dicts and drops the spaces of lists.
    """
    if isinstance(options, Mapping):
        return dict(options)
    parsed: dict[str, Any] = {}
    for option in options:
        key, equals, value = option.partition("=")
        if not equals or not key:
            raise ConfigError(f"{flag} takes key=value, got {option!r}")
        try:
            parsed[key] = _read_value(value)
        except (AssertionError, ValueError, SyntaxError) as error:
            raise ConfigError(f"{flag} {option}: the value cannot be read: {error}") from error
    return parsed


def _read_value(text: str) -> Any:
    if "{" in text:
        return ast.literal_eval(text)
    if {*text} & {*"[(,"}:
        return DictAction._parse_iterable(text)
    return DictAction._parse_int_float_bool(text.strip("'\""))  # as it does for a single value, but with its spaces


def config_hash(cfg: Config) -> str:
    """SHA-256 of the resolved config without its work_dir: the same experiment has the same hash in any folder."""
    plain = {key: value for key, value in cfg.to_dict().items() if key != "work_dir"}
    return hashlib.sha256(json.dumps(plain, sort_keys=True, default=str).encode()).hexdigest()


def _load_merged(file: Path) -> Config:
    if not file.is_file():
        raise ConfigError(f"there is no config file {file}")
    try:
        ast.parse(file.read_text())  # mmengine runs a copy, whose name would stand in the message
        cfg = Config.fromfile(str(file), lazy_import=False)
    except SyntaxError as error:
        _close_files(error)
        raise ConfigError(f"{file} does not load: line {error.lineno}: {error.msg}") from error
    except LinearSRError:
        raise
    except Exception as error:  # a config is a program: it can fail in any way
        _close_files(error)
        raise ConfigError(f"{file} does not load: {type(error).__name__}: {error}") from error
    for base in _bases(file):
        drop_stale_keys(_load_merged(base), cfg, str(file))
    return cfg


def _close_files(error: Exception) -> None:
    """mmengine 0.10.7 leaves its temporary copy of a config that fails open, in the error's frames."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        traceback.clear_frames(error.__traceback__)


def _bases(file: Path) -> list[Path]:
    for statement in ast.parse(file.read_text()).body:
        if isinstance(statement, ast.Assign) and any(getattr(target, "id", "") == "_base_" for target in statement.targets):
            named = ast.literal_eval(statement.value)
            names = [named] if isinstance(named, str) else named
            return [(file.parent / name).resolve() for name in names if "::" not in name]
    return []


def _base_chain(file: Path) -> dict[Path, Config]:
    """Every base file, near ones first, with what it says after its own bases are merged in."""
    chain: dict[Path, Config] = {}
    for base in _bases(file):
        chain[base] = Config.fromfile(str(base), lazy_import=False)
        chain |= _base_chain(base)
    return chain


def _written_in(at: KeyPath, file: Path, bases: Mapping[Path, Config]) -> Path:
    """The file deepest in the chain of bases that has this key; the config itself if no base has it."""
    holders = [base for base, cfg in bases.items() if _has(cfg, at)]
    return holders[-1] if holders else file


def _has(node: Any, at: KeyPath) -> bool:
    """Whether there is something at this path."""
    node = node.to_dict() if isinstance(node, Config) else node
    for part in at:
        try:
            node = node[part]
        except (KeyError, IndexError, TypeError):
            return False
    return True
