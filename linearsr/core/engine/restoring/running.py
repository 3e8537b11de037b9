"""`tools/test.py --pictures`: a folder of LR pictures to a folder of restored ones, however often it is interrupted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import torch.distributed as dist
from mmengine.config import Config
from mmengine.dist import broadcast_object_list, get_rank, get_world_size, is_distributed, is_main_process
from rich.console import Console

from linearsr.core.config import load_config
from linearsr.core.data.datasets import PictureFiles
from linearsr.core.data.images import FORMATS
from linearsr.core.data.lr_pictures import LRPictures, find_pictures, unread_formats
from linearsr.core.engine.distributed import process_group, together
from linearsr.core.engine.loops import checked_steps
from linearsr.core.engine.restoring.keeping import KeepPictures
from linearsr.core.engine.restoring.manifest import MANIFEST, Entry, Journal, read_manifest, settle
from linearsr.core.engine.restoring.places import (
    holds_any,
    only_run,
    refuse_nesting,
    refuse_to_orphan,
    refuse_to_read_back,
    refuse_to_replace,
)
from linearsr.core.engine.restoring.progress import Progress
from linearsr.core.engine.restoring.resuming import Look, absolute, look_at_all, refuse_to_displace
from linearsr.core.engine.restoring.settings import Made, other_settings, read_record, write_record
from linearsr.core.engine.restoring.shares import batches_of, deal
from linearsr.core.engine.runner import Parts, build_runner
from linearsr.core.engine.testing import build_tested, chosen
from linearsr.core.errors import ConfigError
from linearsr.core.runner_keys import MMENGINE_HOOKS
from linearsr.core.tensor_values import DTYPES, require_dtype

LOADING: Final = ("num_workers", "pin_memory", "persistent_workers", "prefetch_factor", "timeout", "multiprocessing_context")
"""Of the config's test_dataloader, what holds for any pictures."""
AS_IT_IS: Final = ({"type": "LoadPictures"},)
"""The pipeline of pictures where the config's test set has HR pictures."""
PATIENCE: Final = timedelta(days=7)
"""What a rank waits for the others' shares; gloo notices at once when one of them dies."""


@dataclass(frozen=True)
class Outcome:
    """Numbers of the pictures that were asked for. failed: name -> why."""

    restored: int
    skipped: int
    failed: Mapping[str, str]
    manifest: Path


@dataclass(frozen=True)
class _Order:
    """What was asked for, checked."""

    cfg: Config
    checkpoint: Path | None
    pictures: Sequence[PictureFiles]
    pipeline: Sequence[dict[str, Any]]
    out: Path
    num_steps: int
    batch_size: int
    dtype: str


def run_restoring(
    config: str | Path,
    checkpoint: str | Path | None,
    pictures: Sequence[str | Path],
    out: str | Path,
    *,
    num_steps: int | None = None,
    batch_size: int | None = None,
    overwrite: bool = False,
    options: Sequence[str] | Mapping[str, Any] = (),
    launcher: str = "none",
) -> Outcome:
    """Restores every picture of `pictures` (see `find_pictures`) into `out`, but those that are there already.

    checkpoint, options, launcher: as in `run_testing`. num_steps: by default the most of the config's test_cfg. batch_size: of
    pictures of one size; by default that of test_dataloader, else 1. overwrite: what was made with other settings, or of other
    files of the same names, is made again instead of refused. Pictures that cannot be read or restored are in `failed` and
    stop nothing. Raises a LinearSRError for what a user can mend; wrong arguments before anything is loaded or written.
    """
    cfg, weights = chosen(load_config(config, options), config, checkpoint)
    loader = cfg.get("test_dataloader") or {}
    tested = cfg.get("test_cfg") or {}
    steps, dtype = tested.get("num_steps", 1) if num_steps is None else num_steps, tested.get("dtype", "float32")
    require_dtype(dtype, "test_cfg.dtype", DTYPES)
    size = loader.get("batch_size", 1) if batch_size is None else batch_size
    if not isinstance(size, int) or size < 1:
        raise ConfigError(f"--batch-size is {size!r}; wanted a whole number ≥ 1")
    most = max(checked_steps(steps, "test_cfg.num_steps" if num_steps is None else "--num-steps"))
    with process_group(launcher, cfg):
        with together():
            found = find_pictures(pictures) if is_main_process() else []
            refuse_to_read_back(Path(out), pictures, found)
            refuse_nesting(found)
            if unread := unread_formats(pictures) if is_main_process() else []:
                said = f"left out: {len(unread)} of formats that are not read, such as {unread[0]}"
                _console().print(f"{said}; read are {', '.join(FORMATS)}", highlight=False, markup=False)
        order = _Order(cfg, weights, _from_first(found), _pipeline(loader), Path(out), most, size, dtype)
        with _holding(order.out):
            return _restore(order, overwrite)


def _restore(order: _Order, overwrite: bool) -> Outcome:
    out = order.out
    with together():
        made = Made.of(order.cfg, order.checkpoint, order.pipeline, order.num_steps) if is_main_process() else None
        entries = _begun(order, made, overwrite) if made is not None else {}
    entries = _from_first(entries)
    looks = look_at_all(out, order.pictures, entries)
    if not overwrite:
        refuse_to_displace(out, order.pictures, looks)
    left = [index for index, seen in enumerate(looks) if not seen.done]
    if len(left) < len(looks):
        _console().print(f"{len(looks) - len(left)} of {len(looks)} are done already", highlight=False)
    meeting = dist.new_group(backend="gloo", timeout=PATIENCE) if is_distributed() else None
    if left:
        with together():
            parts = build_tested(order.cfg, order.checkpoint)
            grid = getattr(parts.model, "time_grid", None)
            if grid is not None:
                grid.times(order.num_steps)  # what it refuses, it refuses now
    with together():
        if made is not None:
            write_record(out, made, _same(out, made))
            settle(out, entries)
    if left:
        _run(order, parts, [order.pictures[index] for index in left], [looks[index] for index in left])
    if meeting is not None:
        dist.barrier(group=meeting)
    with together():
        outcome = _settled(order, len(looks) - len(left)) if is_main_process() else None
    return _from_first(outcome)


def _begun(order: _Order, made: Made, overwrite: bool) -> dict[str, Entry]:
    """What is done already with these settings. Raises ConfigError for a folder that holds pictures made with others."""
    earlier = read_record(order.out)
    if earlier is None:
        if not overwrite:
            refuse_to_replace(order.out, order.pictures)
        return {}
    difference = other_settings(order.out, earlier, made)
    if difference and not overwrite and holds_any(order.out, order.pictures):
        raise ConfigError(f"{difference}. Choose another --out, or let --overwrite make its pictures again")
    if difference:
        refuse_to_orphan(order.out, order.pictures)
        settle(order.out, {})  # before run.json says otherwise: whatever it says, it says of every line
        return {}
    return read_manifest(order.out)


def _same(out: Path, made: Made) -> dict[str, Any] | None:
    earlier = read_record(out)
    return None if earlier is None or other_settings(out, earlier, made) else earlier


def _run(order: _Order, parts: Parts, pictures: Sequence[PictureFiles], looks: Sequence[Look]) -> None:
    """This rank's share, through mmengine's Runner."""
    sizes = [seen.size for seen in looks]
    share = deal(batches_of(sizes, order.batch_size), sizes, get_world_size())[get_rank()]
    cfg = Config(order.cfg.to_dict(), filename=order.cfg.filename)
    loader = cfg.get("test_dataloader") or {}
    cfg.test_dataloader = {
        **{key: loader[key] for key in LOADING if key in loader},
        "dataset": {},
        "sampler": None,
        "batch_sampler": share,
        "collate_fn": {"type": "collate_by_size"},
    }
    cfg.test_cfg = {"type": "RestoreFolderLoop", "num_steps": order.num_steps, "dtype": order.dtype}
    cfg.model_wrapper_cfg = None  # weights in pieces would need every rank at each step; ranks have unlike shares
    cfg.visualizer = {"type": "Visualizer", "vis_backends": []}
    cfg.default_hooks = {label: hook for label, hook in (cfg.get("default_hooks") or {}).items() if label in MMENGINE_HOOKS}
    dataset = LRPictures(pictures, order.pipeline)
    runner = build_runner(cfg, order.out / "logs", Parts(parts.model, {"test_dataloader": dataset}, {"test_evaluator": []}))
    progress = Progress(sum(map(len, share)))
    sources = {picture.name: absolute(str(picture.lr)) for picture in pictures}
    keeper = KeepPictures(order.out, sources, Journal(order.out, get_rank()), order.num_steps, progress)
    runner.register_hook(keeper)
    try:
        runner.test()
    finally:
        keeper.close()
        progress.stop()


def _settled(order: _Order, skipped: int) -> Outcome:
    entries = read_manifest(order.out)
    settle(order.out, entries)
    asked = [entries[picture.name] for picture in order.pictures]
    failed = {entry.name: entry.reason or "" for entry in asked if entry.status == "failed"}
    return Outcome(len(asked) - len(failed) - skipped, skipped, failed, order.out / MANIFEST)


@contextmanager
def _holding(out: Path) -> Iterator[None]:
    """The first rank holds the folder for all."""
    with only_run(out) if is_main_process() else nullcontext():
        with together():
            pass
        yield


def _pipeline(loader: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Of the config's own test set where that is an LRFolder: what its pictures need besides themselves, such as texts."""
    dataset = loader.get("dataset") or {}
    steps = dataset.get("pipeline", AS_IT_IS) if dataset.get("type") == "LRFolder" else AS_IT_IS
    return [dict(step) for step in steps]


def _console() -> Console:
    return Console(stderr=True, soft_wrap=True, quiet=not is_main_process())


def _from_first(value: Any) -> Any:
    """Rank 0's, on every rank."""
    shared = [value]
    broadcast_object_list(shared)
    return shared[0]
