"""The stages of one config: each a run of its own, that begins where an earlier one stood.

    stages = [dict(name="pretrain"),
              dict(name="experts", init="pretrain@knee", override=dict(model=…))]

A stage's config is the rest of the file with `override` merged in, as a file is merged into its `_base_`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmengine.config import Config

from linearsr.core.config_merging import drop_stale_keys, strip_helpers
from linearsr.core.errors import ConfigError, nearest
from linearsr.core.key_check import KeyPath, check_config
from linearsr.core.randomness import mix_seed
from linearsr.core.registries import CURRICULUMS
from linearsr.core.structures import Start

STAGES, CURRICULUM = "stages", "curriculum"
KEYS = ("name", "init", "optimizer", "override")
DEFAULT_CURRICULUM = {"type": "ESGF"}
OPTIMIZERS = ("fresh", "kept")
RESERVED = ("report.html", "curriculum.py", "metrics.json", "sheet.png", "restored")
"""What else lies in a curriculum's folder."""
NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
"""Of a folder on any system; an @ would end it."""
SEEDS = 2**31
"""What numpy takes."""


@dataclass(frozen=True)
class Stage:
    """name: of its folder, too. start: None begins with the weights as they are drawn. keep_optimizer: of the run that it
    starts from. cfg: its own whole config, without stages."""

    name: str
    start: Start | None
    keep_optimizer: bool
    cfg: Config


def stages_of(cfg: Config) -> list[Stage]:
    """cfg: loaded, with `stages`. Raises ConfigError for a stage that is no dict of KEYS, for a name that is no folder's or
    used twice, for an `init` that names no earlier stage, and whatever the check of a stage's config raises."""
    described = _described(cfg[STAGES])
    curriculum = CURRICULUMS.build(cfg.get(CURRICULUM) or DEFAULT_CURRICULUM)
    starts = curriculum.starts([(stage["name"], stage.get("init", ...)) for stage in described])
    if len(starts) != len(described):
        kind = type(curriculum).__name__
        raise ConfigError(f"curriculum {kind} gives {len(starts)} starts for {len(described)} stages; wanted one each")
    stages = []
    for index, (stage, start) in enumerate(zip(described, starts, strict=True)):
        where = f"{STAGES}.{index}"
        _check_start(start, [before["name"] for before in described], index)
        how = stage.get("optimizer", OPTIMIZERS[0])
        if how not in OPTIMIZERS:
            raise ConfigError(f"{where}.optimizer is {how!r}; wanted 'fresh' or 'kept'")
        if how == "kept" and start is None:
            raise ConfigError(f"{where}.optimizer is 'kept', but the stage starts from nothing; set {where}.init")
        stages.append(Stage(stage["name"], start, how == "kept", _own_config(cfg, stage, index)))
    return stages


def find_stage(stages: Sequence[Stage], name: str) -> Stage:
    """Raises ConfigError for an unknown one."""
    for stage in stages:
        if stage.name == name:
            return stage
    known = [stage.name for stage in stages]
    raise ConfigError(f"no stage is called {name!r}{nearest(name, known) or '.'} Stages: {', '.join(known)}")


def _described(stages: Any) -> list[Mapping[str, Any]]:
    if not isinstance(stages, list | tuple) or not stages:
        raise ConfigError(f"{STAGES} is {stages!r}; wanted a list of dict(name=…, init=…, override=…)")
    names: list[str] = []
    for index, stage in enumerate(stages):
        where = f"{STAGES}.{index}"
        if not isinstance(stage, Mapping) or not isinstance(name := stage.get("name"), str) or not NAME.fullmatch(name):
            raise ConfigError(f"{where} is {stage!r}; wanted a dict with a name of letters, digits, '.', '-' and '_'")
        if unknown := [key for key in stage if key not in KEYS]:
            raise ConfigError(
                f"{where} has no key {unknown[0]!r}{nearest(unknown[0], KEYS) or '.'} Its keys: {', '.join(KEYS)}; what "
                f"differs in a stage belongs into {where}.override"
            )
        if name.lower() in names:
            raise ConfigError(
                f"{where}.name is {name!r}, as in {STAGES}.{names.index(name.lower())}; each has a folder of its own"
            )
        if name.lower() in RESERVED:
            raise ConfigError(f"{where}.name is {name!r}, which a curriculum writes itself; choose another")
        names.append(name.lower())
    return list(stages)


def _check_start(start: Start | None, names: Sequence[str], index: int) -> None:
    if start is None:
        return
    key, before = f"{STAGES}.{index}.init", names[:index]
    if start.stage is None and start.file in names:
        raise ConfigError(f"{key} is {start.file!r}; wanted the checkpoint too, such as '{start.file}@knee', or a file")
    if start.stage is not None and start.stage not in before:
        known = f"before it: {', '.join(before)}" if before else "it is the first"
        raise ConfigError(
            f"{key} names the stage {start.stage!r}{nearest(start.stage, before) or ','} which does not come before it; {known}"
        )


def _own_config(cfg: Config, stage: Mapping[str, Any], index: int) -> Config:
    plain = cfg.to_dict()
    for key in (STAGES, CURRICULUM):
        plain.pop(key, None)
    before = Config(plain)
    own = Config(plain, filename=cfg.filename)
    override = stage.get("override") or {}
    where = f"{STAGES}.{index}.override"
    if not isinstance(override, Mapping) or STAGES in override or CURRICULUM in override:
        raise ConfigError(f"{where} is {override!r}; wanted a dict of what differs in this stage's config")
    try:
        own.merge_from_dict(Config(dict(override)).to_dict())
    except (KeyError, TypeError, IndexError, AttributeError, AssertionError) as error:
        raise ConfigError(f"{where} does not fit the config: {error}") from error
    drop_stale_keys(before, own, where)
    strip_helpers(own)
    _seed(own, override, index)
    check_config(own, _written_at(cfg, where))
    return type(cfg)(own.to_dict(), filename=cfg.filename)


def _seed(own: Config, override: Mapping[str, Any], index: int) -> None:
    """A later stage must not see the draws of the one before over again, unless it is told to."""
    randomness = own.get("randomness")
    if index and randomness and randomness.get("seed") is not None and "seed" not in (override.get("randomness") or {}):
        own.merge_from_dict({"randomness.seed": mix_seed(int(randomness["seed"]), index) % SEEDS})


def _written_at(cfg: Config, where: str) -> Callable[[KeyPath], str]:
    return lambda path: f"{cfg.filename}: {where}"
