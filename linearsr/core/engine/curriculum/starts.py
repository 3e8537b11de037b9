"""From "pretrain@knee" to a file, and what can be wrong with it: before anything is trained, and when it is needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from linearsr.core.engine.checkpoints import best_name, newest_checkpoint
from linearsr.core.engine.hooks.knee_files import KNEE
from linearsr.core.errors import ConfigError
from linearsr.core.registries import CURRICULUMS
from linearsr.core.stages import CURRICULUM, DEFAULT_CURRICULUM, Stage, find_stage
from linearsr.core.structures import Start


def check_starts(stages: Sequence[Stage]) -> None:
    """Raises ConfigError for a checkpoint that the stage it is asked of will never write."""
    for stage in stages:
        start = stage.start
        if start is None or start.stage is None:
            continue
        source = find_stage(stages, start.stage)
        knees = [hook for hook in _hooks(source.cfg) if "knee" in hook]
        if start.point == "knee" and not knees:
            raise ConfigError(
                f"the stage {stage.name!r} starts from {start}, but {source.name!r} looks for no knee: give it "
                'default_hooks=dict(knee=dict(type="KneeHook", knee=dict(type="KneeDetector", directions={"psnr_y": +1})))'
            )
        if start.point == "best" and start.metric not in _best_of(source.cfg):
            raise ConfigError(
                f"the stage {stage.name!r} starts from {start}, but {source.name!r} keeps no best of {start.metric!r}: set "
                f'default_hooks=dict(checkpoint=dict(save_best="{start.metric}"))'
            )
        if stage.keep_optimizer and not (start.point == "last" or (start.point == "knee" and knees[0].get("optimizer"))):
            raise ConfigError(
                f"the stage {stage.name!r} keeps the optimiser of {start}, which is not saved: start from "
                f"{source.name}@last, set KneeHook's optimizer=True for {source.name}@knee, or choose optimizer='fresh'"
            )


def locate(start: Start, root: Path) -> Path:
    """The file. root: of the curriculum, with a folder for each stage. Raises ConfigError where there is none yet."""
    if start.file is not None:
        return Path(start.file)
    folder = root / str(start.stage)
    if start.point == "last":
        return newest_checkpoint(folder)
    path = folder / (KNEE if start.point == "knee" else best_name(str(start.metric)))
    if not path.is_file():
        longer = f"raise train_cfg.max_iters in the override of {start.stage!r} and --resume, or start from {start.stage}@last"
        hint = f"its knee was never confirmed; {longer}" if start.point == "knee" else "has the stage been validated?"
        raise ConfigError(f"there is no {path} for {start}: {hint}")
    return path


def tested_stage(cfg: Config, stages: Sequence[Stage], asked: str | Path | None, root: Path) -> tuple[Stage, Path | None]:
    """What `tools/test.py` means: the stage, and its checkpoint.

    asked: "experts@knee", after the curriculum's folder and a slash where that is not `root`; a checkpoint in a stage's folder;
    the folder of a stage, or of the curriculum, for its last stage; None for the last stage's model as it is built. Raises
    ConfigError or WeightsError.
    """
    if asked is None:
        return stages[-1], None
    if not Path(asked).exists() and "@" in str(asked):
        curriculum = CURRICULUMS.build(cfg.get(CURRICULUM) or DEFAULT_CURRICULUM)
        start = curriculum.starts([("test", Path(asked).name)])[0]
        if start is not None and start.stage is not None:
            above = Path(asked).parent
            return find_stage(stages, start.stage), locate(start, root if above == Path() else above)
    path = Path(asked).resolve()
    if any((path / stage.name).is_dir() for stage in stages):
        return stages[-1], newest_checkpoint(path / stages[-1].name)
    holder = path if path.is_dir() else path.parent
    return next((stage for stage in stages if stage.name == holder.name), stages[-1]), path


def _hooks(cfg: Config) -> Iterator[Mapping[str, Any]]:
    yield from (hook for hook in (cfg.get("default_hooks") or {}).values() if isinstance(hook, Mapping))
    yield from (hook for hook in cfg.get("custom_hooks") or () if isinstance(hook, Mapping))


def _best_of(cfg: Config) -> list[str]:
    named = ((cfg.get("default_hooks") or {}).get("checkpoint") or {}).get("save_best") or ()
    return [named] if isinstance(named, str) else list(named)
