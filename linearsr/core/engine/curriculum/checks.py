"""What can be wrong with a curriculum, before anything of it is trained."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from linearsr.core.engine.checkpoints import CURRICULUM_CONFIG, NOTE, numbered
from linearsr.core.engine.curriculum.records import START, StageRecord
from linearsr.core.engine.runner import build_data
from linearsr.core.errors import ConfigError, LinearSRError, WeightsError
from linearsr.core.models.starting import start_from
from linearsr.core.registries import MODELS
from linearsr.core.stages import Stage, find_stage
from linearsr.core.structures import Start

CONFIG = CURRICULUM_CONFIG


def check_folder(root: Path, stages: Sequence[Stage], resume: bool) -> None:
    """Raises ConfigError or WeightsError for a folder in which this curriculum can neither begin nor go on."""
    names, there = [stage.name for stage in stages], _stages_in(root / CONFIG)
    if there is not None and there != names:
        raise ConfigError(f"{root} holds a curriculum of the stages {', '.join(there)}; begin this one in another --work-dir")
    begun = there is not None or any((root / name).is_dir() for name in names)  # a finished stage may have been copied here
    if begun and not resume:
        raise ConfigError(f"{root} holds a curriculum already; add --resume to go on with it, or begin in another --work-dir")
    if resume and not begun:
        raise WeightsError(f"there is no stage in {root} to go on with; leave --resume out to begin")
    if (root / NOTE).is_file() or numbered(root):
        raise ConfigError(f"{root} holds a run without stages; begin the curriculum in another --work-dir")


def check_order(stages: Sequence[Stage], records: Sequence[StageRecord | None], root: Path) -> None:
    """Raises ConfigError for a stage that has begun from one that is to be trained, or trained on, now."""
    waiting = {stage.name for stage, record in zip(stages, records, strict=True) if record is None}
    for stage in stages:
        source = None if stage.start is None else stage.start.stage
        if source in waiting and (root / stage.name / START).is_file():
            raise ConfigError(
                f"the stage {stage.name!r} has begun from {source!r}, which is to be trained now; delete {root / stage.name} "
                "to begin it anew from what comes out"
            )


def check_parts(stages: Sequence[Stage], records: Sequence[StageRecord | None]) -> None:
    """Data, folders and metrics of every stage that is not finished, and whether what it starts from will fit its model."""
    for stage, record in zip(stages, records, strict=True):
        if record is not None:
            continue
        if stage.cfg.get("train_dataloader") is None:
            raise ConfigError(f"the stage {stage.name!r} has no train_dataloader; there is nothing to train on")
        if stage.cfg.get("load_from") is not None:
            raise ConfigError(f"the stage {stage.name!r} has load_from; what a stage starts from is its init")
        build_data(stage.cfg, "train", "val")
        if stage.start is not None:
            _check_sizes(stage, stage.start, stages)


def _check_sizes(stage: Stage, start: Start, stages: Sequence[Stage]) -> None:
    if start.file is not None:
        if not Path(start.file).is_file():
            raise WeightsError(f"the stage {stage.name!r} starts from {start.file}, which does not exist")
        return
    source = find_stage(stages, str(start.stage))
    if stage.keep_optimizer and source.cfg.model.denoiser.get("type") != stage.cfg.model.denoiser.get("type"):
        raise ConfigError(
            f"the stage {stage.name!r} keeps the optimiser of {start}, whose denoiser is another; set optimizer='fresh'"
        )
    theirs, own = _without_weights(source), _without_weights(stage)
    if theirs is not None and own is not None:
        start_from(own, theirs.state_dict(), f"what {stage.name!r} starts from, {start},")


def _without_weights(stage: Stage) -> nn.Module | None:
    """Its model with sizes alone; None where a part cannot be made so, and what is wrong is said when the stage begins."""
    try:
        with torch.device("meta"):
            made: Any = MODELS.build(stage.cfg.model)
    except LinearSRError:
        raise
    except Exception:
        return None
    return made


def _stages_in(config: Path) -> list[str] | None:
    """The names of the stages of the config that a curriculum has written; the text is read and never run."""
    if not config.is_file():
        return None
    for statement in ast.parse(config.read_text()).body:
        if isinstance(statement, ast.Assign) and getattr(statement.targets[0], "id", "") == "stages":
            return [stage["name"] for stage in ast.literal_eval(statement.value)]
    return []
