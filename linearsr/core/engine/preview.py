"""What a degradation makes of pictures, to look at before a training."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from linearsr.core.atomic import atomic_write
from linearsr.core.config import load_config
from linearsr.core.data.bundled_photos import PHOTOS, photo_path
from linearsr.core.data.degradations import PRESETS, Preset, degrade, draw_settings, preset
from linearsr.core.data.images import list_images, read_image
from linearsr.core.errors import ConfigError, DataError
from linearsr.core.pixels import to_uint8
from linearsr.core.randomness import mix_seed, numpy_generator
from linearsr.core.registries import TRANSFORMS

CELL, GAP, LINES = 256, 6, 6
PAPER, INK = (255, 255, 255), (30, 30, 30)


def preview_degradation(
    described: str, out: str | Path, pictures: str | Path | None = None, draws: int = 4, seed: int = 0, most: int = 4
) -> Path:
    """Writes a sheet: of each picture its centre of 256×256, and `draws` LR pictures of it with what was drawn for them.

    described: a preset's name, or a config whose training pipeline has a RealESRGANDegradation. pictures: a folder, the
    bundled photos by default; the first `most` are shown. Raises ConfigError or DataError.
    """
    if draws < 1 or most < 1:
        raise ConfigError(f"draws={draws} and most={most}; wanted ≥ 1")
    if Path(out).suffix.lower() != ".png":
        raise DataError(f"{out}: the sheet is a PNG; let the name end in .png")
    scale, chosen = _described(described)
    paths = [photo_path(name) for name in PHOTOS["held_out"]] if pictures is None else list_images(pictures, recursive=True)
    rows = [_row(_centre(path, scale), chosen, scale, draws, mix_seed(seed, index)) for index, path in enumerate(paths[:most])]
    _sheet(rows, Path(out))
    return Path(out)


def _described(described: str) -> tuple[int, Preset]:
    if not described.endswith(".py"):
        return 4, preset(described)
    for step in _pipelines(load_config(described).get("train_dataloader")):
        if step.get("type") == "RealESRGANDegradation":
            made = TRANSFORMS.build(step)
            return made.scale, made.preset
    raise ConfigError(
        f"{described} has no RealESRGANDegradation in train_dataloader; wanted such a config, or one of {', '.join(PRESETS)}"
    )


def _pipelines(node: Any) -> Iterator[Mapping[str, Any]]:
    """Every dict of the config's part."""
    if isinstance(node, Mapping):
        yield node
    for item in node.values() if isinstance(node, Mapping) else node if isinstance(node, list | tuple) else ():
        yield from _pipelines(item)


def _centre(path: Path, scale: int) -> Tensor:
    hr = read_image(path)
    height, width = (min(side, CELL) // scale * scale for side in hr.shape[-2:])
    if min(height, width) < scale:
        raise DataError(f"{path} is {hr.shape[-2]}×{hr.shape[-1]}, smaller than the scale {scale}")
    top, left = ((side - part) // 2 for side, part in zip(hr.shape[-2:], (height, width), strict=True))
    return hr[:, top : top + height, left : left + width]


def _row(hr: Tensor, chosen: Preset, scale: int, draws: int, seed: int) -> list[tuple[Tensor, str]]:
    cells = [(hr, "HR")]
    for number in range(draws):
        generator = numpy_generator(mix_seed(seed, number))
        settings = draw_settings(chosen, generator)
        cells.append((degrade(hr, settings, scale, generator), str(settings).replace(" | ", "\n")))
    return cells


def _sheet(rows: Sequence[Sequence[tuple[Tensor, str]]], out: Path) -> None:
    font = ImageFont.load_default(size=10)
    caption = LINES * 13 + GAP
    sheet = Image.new("RGB", (GAP + len(rows[0]) * (CELL + GAP), GAP + len(rows) * (CELL + caption)), PAPER)
    draw = ImageDraw.Draw(sheet)
    for j, row in enumerate(rows):
        for i, (picture, text) in enumerate(row):
            corner = (GAP + i * (CELL + GAP), GAP + j * (CELL + caption))
            shown = Image.fromarray(to_uint8(picture).permute(1, 2, 0).contiguous().numpy())
            zoom = CELL / max(shown.size)
            size = (max(1, round(shown.width * zoom)), max(1, round(shown.height * zoom)))
            sheet.paste(shown.resize(size, Image.Resampling.NEAREST), corner)
            lines = [part for words in text.split("\n") for part in textwrap.wrap(words, 44)]
            for line, part in enumerate(lines[:LINES]):
                draw.text((corner[0], corner[1] + CELL + 2 + 13 * line), part, INK, font)
    with atomic_write(out) as file:
        sheet.save(file, format="PNG")
