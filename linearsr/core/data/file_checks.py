"""A look at every picture's header before a run."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from mmengine.dist import is_main_process
from rich.console import Console
from rich.progress import Progress
from torch.utils.data import Dataset

from linearsr.core.data.datasets import PictureFiles, parts_of
from linearsr.core.data.images import Embedded, image_size
from linearsr.core.errors import DataError, UnreadableError

LOST_LIMIT: Final = 0.01
"""Share of pictures, and of a run's draws, that may be unreadable in training (our choice)."""

QUIET_SECONDS: Final = 2.0
"""What takes longer shows how far it is."""

T = TypeVar("T")


def check_files(dataset: Dataset[Any], *, training: bool, limit: float = LOST_LIMIT) -> None:
    """Looks at shards and at the header of every picture of a data set of ours before anything is trained or restored.

    Raises DataError for a shard that is not as its index says and for a pair whose sizes do not belong together; outside
    training also for a picture that cannot be read and for two of one name, which would share a place in the results.
    training: pictures that cannot be read are named in a warning. Raises DataError if they are more than the share `limit`.
    """
    parts = parts_of(dataset)
    for part in parts:
        part.check()
    if not training:
        _check_names([(part.name, picture) for part in parts for picture in part.pictures])
    pictures = [picture for part in parts for picture in part.pictures]
    lost = []
    for picture in with_progress(pictures, len(pictures), "looking at the pictures"):
        try:
            _check_sizes(picture)
        except UnreadableError as error:
            if not training:
                raise
            lost.append(str(error))
    if lost:
        _tell(lost, len(pictures), limit)


def with_progress(items: Iterable[T], total: int, title: str) -> Iterator[T]:
    """The items, with a bar on a terminal once they have taken QUIET_SECONDS."""
    start, console = time.monotonic(), Console(stderr=True)
    shown = console.is_terminal and is_main_process()
    with Progress(console=console, transient=True, disable=not shown, auto_refresh=False) as bar:
        task = bar.add_task(title, total=total, visible=False)
        for done, item in enumerate(items):
            yield item
            if shown and time.monotonic() - start > QUIET_SECONDS:
                bar.update(task, completed=done + 1, visible=True, refresh=done % 100 == 0)


def _check_names(pictures: Sequence[tuple[str, PictureFiles]]) -> None:
    seen: dict[tuple[str, str], PictureFiles] = {}
    for dataset, picture in pictures:
        key = (dataset, picture.name)
        if key in seen:
            one, other = seen[key].files[0], picture.files[0]
            raise DataError(f"{one} and {other} would both be {'/'.join(key)} in the results; rename one of them")
        seen[key] = picture


def _check_sizes(picture: PictureFiles) -> None:
    sizes = [_size(file) for file in picture.files]
    if len(sizes) == 2 and not _belong_together(*sizes):
        raise DataError(
            f"{picture.hr} is {sizes[0]} and {picture.lr} {sizes[1]}; wanted a whole multiple, the same for both sides"
        )


def _size(file: Path | Embedded) -> tuple[int, int]:
    return getattr(file, "picture_size", None) or image_size(file)


def _belong_together(hr: tuple[int, int], lr: tuple[int, int]) -> bool:
    scale = hr[0] // lr[0]
    return scale >= 1 and hr == (scale * lr[0], scale * lr[1])


def _tell(lost: list[str], count: int, limit: float) -> None:
    shown = "; ".join(lost[:5]) + (f"; and {len(lost) - 5} more" if len(lost) > 5 else "")
    if len(lost) > limit * count:
        raise DataError(
            f"{len(lost)} of {count} training pictures cannot be read, more than the limit of {limit:.2%}: {shown}; mend or "
            "remove them, or set default_hooks.lost_samples=dict(type='LostSamplesHook', limit=…)"
        )
    if is_main_process():
        said = f"warning: {len(lost)} of {count} training pictures cannot be read; others take their place: {shown}"
        Console(stderr=True, soft_wrap=True).print(said, highlight=False, markup=False)
