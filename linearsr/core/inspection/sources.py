"""A config wherever it is kept: a file, a run's folder, a checkpoint."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from linearsr.core.config import RunConfig, load_config, parse_options
from linearsr.core.errors import ConfigError, WeightsError


def resolve(source: str | Path, options: Sequence[str] | Mapping[str, Any] = ()) -> RunConfig:
    """The whole config, merged.

    source:  a config file, which is run and checked as for training; or the folder of a run, or a checkpoint, whose saved
             configs are read as literals: never run, and not checked, so that runs of other versions can be looked at.
    options: `["a.b=1"]`, for a config file.
    Raises ConfigError, WeightsError, or what `load_config` raises.
    """
    path = Path(source)
    if not path.exists():
        raise ConfigError(f"there is no {path}; wanted a config file, a run's folder or a checkpoint")
    if path.is_file() and path.suffix == ".py":
        return load_config(path, options)
    if parse_options(options):
        raise ConfigError(f"--cfg-options change a config file; {path} is what was saved, and stays as it is")
    if path.is_dir():
        saved = _saved_in(path)
        return _literal(saved.read_text(), saved)
    return _literal(_text_in(path), path)


def _saved_in(folder: Path) -> Path:
    files = sorted(folder.glob("*.py"))
    if len(files) != 1:
        found = f"there are {', '.join(file.name for file in files)}" if files else "there is none"
        raise ConfigError(f"a run's folder holds one saved config *.py; in {folder} {found}; name the file itself")
    return files[0]


def _text_in(checkpoint: Path) -> str:
    if checkpoint.suffix == ".safetensors":
        raise WeightsError(f"{checkpoint} holds weights without a config; name the config.py that was exported beside it")
    from linearsr.core.weights import read_pickled  # here, because it imports torch

    content = read_pickled(checkpoint)
    meta = content.get("meta") if isinstance(content, Mapping) else None
    text = meta.get("cfg") if isinstance(meta, Mapping) else None
    if not isinstance(text, str) or not text.strip():
        raise WeightsError(f"{checkpoint} does not say which config it was made with; wanted a checkpoint iter_*.pth of a run")
    return text


def _literal(text: str, source: Path) -> RunConfig:
    found: dict[str, Any] = {}
    try:
        for statement in ast.parse(text).body:
            if not isinstance(statement, ast.Assign) or not isinstance(statement.targets[0], ast.Name):
                raise ValueError(f"line {statement.lineno} is no `key = value`")
            found[statement.targets[0].id] = ast.literal_eval(_DictCalls().visit(statement.value))
    except (SyntaxError, ValueError) as cause:
        raise ConfigError(
            f"the config in {source} is no plain data, and what is saved is not run: {cause}; "
            "a config file of your own is named with its .py"
        ) from cause
    return RunConfig(found)  # without the file, which mmengine would read as text


class _DictCalls(ast.NodeTransformer):
    """`dict(a=1)`, as mmengine writes its configs, to `{"a": 1}`."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        named = [keyword.arg for keyword in node.keywords]
        if not isinstance(node.func, ast.Name) or node.func.id != "dict" or node.args or None in named:
            return node
        return ast.Dict([ast.Constant(name) for name in named], [keyword.value for keyword in node.keywords])
