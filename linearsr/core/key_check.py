"""The static walk of a whole config: every key is held against the signature of the component it is meant for.

Nothing is built. mmengine's Runner builds hooks, datasets and metrics through its own root registries, which use our
`get` but not our `build`; so keys are checked here, before anything heavy starts, by the function that `build` uses.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from linearsr.core.errors import ConfigError, LinearSRError, nearest
from linearsr.core.registries import BY_KEY
from linearsr.core.registry import Registry
from linearsr.core.signatures import accepted_keys, refuse_unknown_keys

Path = tuple[str | int, ...]
Origin = Callable[[Path], str]
"""Where a key was written: a file, or the option that set it."""

DEFAULT_TYPES = {
    "val_cfg": "ValLoop",
    "test_cfg": "TestLoop",
    "optim_wrapper": "OptimWrapper",
    "log_processor": "LogProcessor",
    "visualizer": "Visualizer",
}
"""What mmengine's Runner builds where the config gives no type."""

BUILDER_KEYS = {
    "optim_wrapper": ("constructor", "paramwise_cfg"),
    "param_scheduler": ("convert_to_iter_based",),
    "model": ("data_preprocessor",),
}
"""Keys that mmengine's builders take out before the component sees them."""

KWARGS_GO_TO = {
    "CheckpointHook": (),
    "EMAHook": ("momentum", "interval", "update_buffers", "gamma"),
}
"""What mmengine's hooks with a **kwargs of unknown use do with it: nothing, or the averaged model's options."""

DATALOADERS = ("train_dataloader", "val_dataloader", "test_dataloader")


def dotted(path: Path) -> str:
    return ".".join(map(str, path))


def check_config(cfg: Mapping[str, Any], origin: Origin) -> None:
    """Raises UnknownComponentError, PluginLoadError or ConfigError for the first thing that no component takes."""
    known = _runner_keys()
    for key in cfg:
        if key not in known:
            hint = nearest(key, known) or "; a helper variable of a config begins with an underscore"
            raise ConfigError(f"{origin((key,))}: no setting is called {key!r}{hint}")
    for path, node, registry in typed_nodes(cfg):
        _check_component(path, node, registry, origin)
    for name in DATALOADERS:
        if cfg.get(name) is not None:
            _check_plain(cfg[name], _dataloader_keys(), (name,), origin)
    _check_plain(cfg.get("randomness") or {}, _randomness_keys(), ("randomness",), origin)
    _check_plain(cfg.get("env_cfg") or {}, ENV_KEYS, ("env_cfg",), origin)


def typed_nodes(
    node: Any, path: Path = (), registry: Registry | None = None
) -> Iterator[tuple[Path, Mapping[str, Any], Registry]]:
    """Every dict of the config that describes a component, with its path and the registry that its key names."""
    node = getattr(node, "_cfg_dict", node)  # mmengine's Config is a mapping in all but name
    if isinstance(node, list | tuple):
        for index, item in enumerate(node):
            yield from typed_nodes(item, (*path, index), registry)
    elif isinstance(node, Mapping):
        described = registry is not None and (node.get("type") is not None or _default_type(path, node) is not None)
        if described and registry is not None:
            yield path, node, registry
        for key, value in node.items():
            named = registry is not None and not described  # as in default_hooks: the keys are labels of one kind of component
            yield from typed_nodes(value, (*path, key), registry if named else BY_KEY.get(key))


def component_of(path: Path, node: Mapping[str, Any], registry: Registry) -> Any:
    """The class or function that `node` describes."""
    return registry.require(node.get("type") or _default_type(path, node))


def builder_keys(path: Path) -> tuple[str, ...]:
    return BUILDER_KEYS.get(_key(path), ()) + (("by_epoch",) if _key(path) == "train_cfg" else ())


def _check_component(path: Path, node: Mapping[str, Any], registry: Registry, origin: Origin) -> None:
    try:
        component = component_of(path, node, registry)
    except LinearSRError as error:
        error.args = (f"{origin((*path, 'type'))}: {dotted(path)}: {error}", *error.args[1:])
        raise
    sink = KWARGS_GO_TO.get(getattr(component, "__name__", ""))
    extra = builder_keys(path) + (sink or ())
    for key in node:
        if key not in ("type", "_scope_"):
            where = f"{origin((*path, key))}: {dotted(path)}"
            refuse_unknown_keys(component, [key], where, extra, closed=sink is not None)


def _default_type(path: Path, node: Mapping[str, Any]) -> str | None:
    if _key(path) == "train_cfg":
        return "EpochBasedTrainLoop" if node.get("by_epoch", True) else "IterBasedTrainLoop"
    return DEFAULT_TYPES.get(_key(path))


def _key(path: Path) -> str:
    """The config key that holds the node: list positions do not count."""
    return next((part for part in reversed(path) if isinstance(part, str)), "")


def _check_plain(node: Mapping[str, Any], known: tuple[str, ...], path: Path, origin: Origin) -> None:
    for key in node:
        if key not in known:
            hint = nearest(key, known) or "."
            raise ConfigError(f"{origin((*path, key))}: {dotted(path)} has no key {key!r}{hint} Its keys: {', '.join(known)}")


ENV_KEYS = ("cudnn_benchmark", "mp_cfg", "dist_cfg", "resource_limit")


def _runner_keys() -> tuple[str, ...]:
    from mmengine.runner import Runner

    return (*(key for key in accepted_keys(Runner).names if key != "cfg"), "model_wrapper_cfg")


def _dataloader_keys() -> tuple[str, ...]:
    from torch.utils.data import DataLoader

    return (*accepted_keys(DataLoader).names, "num_batch_per_epoch")


def _randomness_keys() -> tuple[str, ...]:
    from mmengine.runner import Runner

    return tuple(inspect.signature(Runner.set_randomness).parameters)[1:]
