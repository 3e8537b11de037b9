"""Picture files in and out. Whatever the file holds, the library sees float32 RGB in 0..1."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, Protocol

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from linearsr.core.atomic import atomic_write
from linearsr.core.data.pixel_modes import rgb_01
from linearsr.core.errors import DataError, ShapeError, UnreadableError
from linearsr.core.pixels import from_uint8, to_uint8

__all__ = ["FORMATS", "from_uint8", "image_size", "list_images", "read_image", "to_uint8", "write_image"]

FORMATS: Final = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
}
"""Suffix (small letters) -> Pillow's name of the format."""

EXIF_ORIENTATION: Final = 0x0112
"""Values from 5 on swap height and width."""
TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""By orientation: what makes a picture upright."""

SAVE_OPTIONS: Final[dict[str, dict[str, Any]]] = {
    "PNG": {},
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"lossless": True},
    "TIFF": {"compression": "tiff_deflate"},
    "BMP": {},
}
"""All but JPEG are lossless; JPEG is written at quality 95 without chroma subsampling (our choice)."""


class Embedded(Protocol):
    """A picture that is no file of its own, such as a member of a tar shard; str() names it in messages."""

    def open(self) -> IO[bytes]: ...


def image_size(path: str | Path | Embedded) -> tuple[int, int]:
    """(height, width) as `read_image` gives it, from the header; no pixels are read.

    An orientation that a PNG holds behind its pixels is not seen. Raises UnreadableError, which names the file.
    """
    with _image(path) as file:
        orientation = Image.Image.getexif(file).get(EXIF_ORIENTATION, 1)  # the base class': PNG's own decodes the picture
        turned = orientation >= 5 and file.format != "TIFF"  # Pillow has turned a TIFF's size already
        return file.size if turned else (file.height, file.width)


def read_image(path: str | Path | Embedded) -> Tensor:
    """The picture as image_01, float32 [3, H, W], upright (EXIF orientation applied).

    Grey becomes three equal channels, palette and CMYK become RGB, transparency is laid over white, 16-bit grey keeps its
    65,536 levels. 16-bit colour is read at 8 bits, as Pillow does. A file of several pictures gives the first.
    Raises UnreadableError, which names the file, where it is missing, not a picture, cut short or of an unknown range.
    """
    with _image(path) as file:
        file.load()  # a TIFF is turned by then, and says so no more
        turn = TURNS.get(file.getexif().get(EXIF_ORIENTATION, 1))
        pixels = rgb_01(file if turn is None else file.transpose(turn))
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1), dtype=np.float32))


def write_image(path: str | Path, image_01: Tensor) -> None:
    """Writes [3, H, W] at 8 bits in the format of the suffix; makes the folder; clamps to 0..1, rounds as `to_uint8`.

    The file appears whole or not at all, and an error leaves an older file of that name alone.
    Raises DataError for an unknown suffix or a picture with NaN or Inf, ShapeError for another shape.
    """
    path = Path(path)
    format_name = FORMATS.get(path.suffix.lower())
    if format_name is None:
        raise DataError(f"{path}: unknown suffix {path.suffix!r}; write one of {_known()}")
    if image_01.ndim != 3 or image_01.shape[0] != 3 or min(image_01.shape) < 1 or not image_01.is_floating_point():
        raise ShapeError(f"{path}: the picture is {image_01.dtype} {list(image_01.shape)}; wanted a float [3, H, W] in 0..1")
    broken = int((~image_01.isfinite()).sum())
    if broken:
        raise DataError(f"{path}: {broken} of {image_01.numel()} values are NaN or Inf; nothing is written")
    picture = Image.fromarray(to_uint8(image_01.detach()).permute(1, 2, 0).contiguous().cpu().numpy())
    with atomic_write(path) as file:
        picture.save(file, format=format_name, **SAVE_OPTIONS[format_name])


def list_images(folder: str | Path, *, recursive: bool = False) -> list[Path]:
    """Picture files of the folder in natural order (img2 before img10), with those of its subfolders if `recursive`.

    Hidden files and folders are left out.
    Raises DataError, which names the folder, where it is missing, not a folder, or without pictures.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder} is {'not a folder' if folder.exists() else 'missing'}; wanted a folder of pictures")
    found = [
        path for path in folder.glob("**/*" if recursive else "*") if is_picture(path.relative_to(folder)) and path.is_file()
    ]
    if not found:
        raise DataError(f"{folder} holds no picture; known suffixes: {_known()}")
    return sorted(found, key=lambda path: _natural(path.relative_to(folder)))


def is_picture(path: Path) -> bool:
    """By its suffix; nothing hidden is one."""
    return path.suffix.lower() in FORMATS and not any(part.startswith(".") for part in path.parts)


def _natural(path: Path) -> tuple[list[tuple[bool, int, str]], str]:
    """Numbers as numbers, before letters; small and capital letters alike, the exact name last."""
    parts = re.findall(r"(\d+)|(\D+)", str(path).casefold())
    return [(not digits, int(digits or 0), text) for digits, text in parts], str(path)


@contextmanager
def _image(path: str | Path | Embedded) -> Iterator[Image.Image]:
    """Open as long as it is needed; what goes wrong inside is an UnreadableError of this picture."""
    try:
        with open(path, "rb") if isinstance(path, str | Path) else path.open() as file, Image.open(file) as image:
            yield image
    except FileNotFoundError as error:
        raise UnreadableError(f"{path}: no such file") from error
    except UnidentifiedImageError as error:
        raise UnreadableError(
            f"{path} is not a picture that can be read, of {', '.join(dict.fromkeys(FORMATS.values()))}"
        ) from error
    except (UnreadableError, MemoryError):
        raise
    except Exception as error:  # of whatever kind: Pillow's plugins raise what a damaged file leads them to
        raise UnreadableError(f"{path} cannot be read as a picture: {error}") from error


def _known() -> str:
    return ", ".join(FORMATS)
