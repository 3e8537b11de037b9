"""The data sets that a config describes, those of its stages too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from linearsr.core.stages import STAGES, stages_of

PHASES: Final = ("train", "val", "test")


def described_datasets(cfg: Any, phases: Sequence[str] = PHASES) -> list[tuple[str, Mapping[str, Any]]]:
    """(phase, dict of a data set) of a loaded config; with stages, of every stage, equal ones once."""
    found: list[tuple[str, Mapping[str, Any]]] = []
    for own in [stage.cfg for stage in stages_of(cfg)] if STAGES in cfg else [cfg]:
        loaders = {phase: own.get(f"{phase}_dataloader") for phase in phases}
        told = [(phase, loader["dataset"]) for phase, loader in loaders.items() if loader is not None]
        found += [one for one in told if one not in found]
    return found
