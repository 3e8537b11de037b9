"""A sheet of details for the eye: LR, bicubic, ours at each number of steps, HR; one picture per row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from linearsr.core.atomic import atomic_write
from linearsr.core.errors import DataError
from linearsr.core.pixels import to_uint8
from linearsr.core.resampling import resize_bicubic

CELL: Final = 288
"""Side of a cell in pixels; it should be a multiple of `detail` times the scale, so that all pixels come out equally large."""
GAP: Final = 8
HEADER: Final = 32
CAPTION: Final = 24
PAPER: Final = (255, 255, 255)
INK: Final = (30, 30, 30)
EMPTY: Final = (235, 235, 235)


@dataclass(frozen=True)
class SheetRow:
    """name: caption; lr: [3, h, w]; sr: number of steps -> [3, H, W]; hr: [3, H, W] or None. All image_01."""

    name: str
    lr: Tensor
    sr: Mapping[int, Tensor]
    hr: Tensor | None = None

    @classmethod
    def of(cls, by_steps: Mapping[int, Mapping[str, Any]]) -> SheetRow:
        """by_steps: number of steps -> what the model predicted, all of one picture."""
        first = next(iter(by_steps.values()))
        restored = {steps: sample["sr"] for steps, sample in by_steps.items()}
        return cls(f"{first['dataset']} / {first['name']}", first["lr"], restored, first["hr"])


def contact_sheet(rows: Sequence[SheetRow], path: str | Path, *, detail: int = 36) -> None:
    """Writes a PNG, whole or not at all. Each row shows the centre `detail`×`detail` LR pixels and what became of them.

    Pixels are enlarged by repeating them, never blended. A column that a row lacks is grey.
    Raises DataError without rows or for a path that does not end in .png.
    """
    if not rows:
        raise DataError(f"{path}: a contact sheet needs at least one picture")
    if Path(path).suffix.lower() != ".png":
        raise DataError(f"{path}: a contact sheet is a PNG; let the name end in .png")
    columns = [_cells(row, detail) for row in rows]
    titles = list(dict.fromkeys(title for cells in columns for title in cells))
    titles.sort(key=lambda title: title == "HR")  # stable: HR last, the rest as they came
    width = GAP + len(titles) * (CELL + GAP)
    sheet = Image.new("RGB", (width, HEADER + len(rows) * (CELL + CAPTION) + GAP), PAPER)
    draw = ImageDraw.Draw(sheet)
    for i, title in enumerate(titles):
        left = GAP + i * (CELL + GAP)
        draw.text((left + CELL / 2, HEADER / 2), title, INK, ImageFont.load_default(size=18), anchor="mm")
        for j, cells in enumerate(columns):
            corner = (left, HEADER + j * (CELL + CAPTION))
            sheet.paste(cells.get(title) or Image.new("RGB", (CELL, CELL), EMPTY), corner)
    for j, row in enumerate(rows):
        middle = HEADER + j * (CELL + CAPTION) + CELL + CAPTION / 2
        draw.text((GAP, middle), row.name, INK, ImageFont.load_default(size=14), anchor="lm")
    with atomic_write(path) as file:
        sheet.save(file, format="PNG")


def _cells(row: SheetRow, detail: int) -> dict[str, Image.Image]:
    """Column title -> cell."""
    pictures = {"LR": row.lr}
    larger = [*row.sr.values(), *([] if row.hr is None else [row.hr])]
    if larger:
        size = (larger[0].shape[-2], larger[0].shape[-1])
        pictures["bicubic"] = resize_bicubic(row.lr[None], size)[0]
    for steps, picture in row.sr.items():
        pictures[f"ours, {steps} step{'s' * (steps != 1)}"] = picture
    if row.hr is not None:
        pictures["HR"] = row.hr
    return {title: _cell(picture, row.lr, detail) for title, picture in pictures.items()}


def _cell(picture: Tensor, lr: Tensor, detail: int) -> Image.Image:
    """The part of `picture` over the centre `detail`×`detail` pixels of `lr`; all of a side that has fewer."""
    height, width = picture.shape[-2:]
    rows, top = _window(lr.shape[-2], detail, height)
    columns, left = _window(lr.shape[-1], detail, width)
    part = to_uint8(picture[:, top : top + rows, left : left + columns].detach()).permute(1, 2, 0)
    zoom = CELL / max(rows, columns)
    cell = Image.new("RGB", (CELL, CELL), EMPTY)
    shown = Image.fromarray(part.contiguous().cpu().numpy())
    shown = shown.resize((max(1, round(columns * zoom)), max(1, round(rows * zoom))), Image.Resampling.NEAREST)
    cell.paste(shown, ((CELL - shown.width) // 2, (CELL - shown.height) // 2))
    return cell


def _window(lr_side: int, detail: int, side: int) -> tuple[int, int]:
    """Length and start, in pixels of a picture `side` long, of the centre `detail` of `lr_side` LR pixels."""
    shown = min(detail, lr_side)
    start = (lr_side - shown) // 2
    return max(1, round(shown * side / lr_side)), round(start * side / lr_side)
