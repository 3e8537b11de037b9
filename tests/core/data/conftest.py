"""Small folders of pictures, some of them damaged."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
import torch

from linearsr.core.data import write_image

Damage = Callable[..., list[Path]]


def picture(seed: int, height: int = 40, width: int = 48) -> torch.Tensor:
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))


def make_photos(folder: Path, count: int, suffix: str = ".png") -> Path:
    for index in range(count):
        write_image(folder / f"p{index}{suffix}", picture(index))
    return folder


def cut_short(paths: Iterable[Path], share: float = 0.5) -> None:
    """As a copy that stopped: the header is whole, the pixels are not."""
    for path in paths:
        path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return make_photos(tmp_path / "photos", 6)
