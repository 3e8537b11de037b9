"""The contact sheet shows the right pixels in the right place."""

import os

import numpy as np
import pytest
import torch
from PIL import Image

from linearsr.core.errors import DataError
from linearsr.core.evaluation import SheetRow, contact_sheet
from linearsr.core.evaluation.sheet import CAPTION, CELL, GAP, HEADER


def flat(level: float, side: int) -> torch.Tensor:
    return torch.full((3, side, side), level)


def cells(path, rows: int, columns: int) -> np.ndarray:
    """[rows, columns, CELL, CELL, 3]"""
    with Image.open(path) as file:
        sheet = np.asarray(file)
    assert sheet.shape[1] == GAP + columns * (CELL + GAP)
    tops, lefts = ([start + i * step for i in range(n)] for start, step, n in (
        (HEADER, CELL + CAPTION, rows), (GAP, CELL + GAP, columns)))  # fmt: skip
    return np.array([[sheet[top : top + CELL, left : left + CELL] for left in lefts] for top in tops])


def test_columns_are_lr_bicubic_ours_by_steps_and_hr(tmp_path):
    row = SheetRow("a", lr=flat(0.2, 40), sr={4: flat(0.6, 160), 1: flat(0.4, 160)}, hr=flat(0.8, 160))
    contact_sheet([row], tmp_path / "sheet.png")
    found = cells(tmp_path / "sheet.png", 1, 5)[0]
    assert [np.unique(cell).tolist() for cell in found] == [[51], [51], [153], [102], [204]]


def test_a_cell_is_the_centre_at_whole_repeated_pixels(tmp_path):
    lr = torch.rand(3, 48, 60, generator=torch.Generator().manual_seed(0))
    hr = torch.rand(3, 192, 240, generator=torch.Generator().manual_seed(1))
    contact_sheet([SheetRow("a", lr, {}, hr)], tmp_path / "sheet.png", detail=36)
    found = cells(tmp_path / "sheet.png", 1, 3)[0]
    for cell, picture, scale in ((found[0], lr, 1), (found[2], hr, 4)):
        part = picture[:, 6 * scale : 42 * scale, 12 * scale : 48 * scale]
        zoom = CELL // (36 * scale)
        want = (part * 255).round().byte().repeat_interleave(zoom, 1).repeat_interleave(zoom, 2)
        assert np.array_equal(cell, want.permute(1, 2, 0).numpy())


def test_rows_that_lack_a_column_and_pictures_smaller_than_the_detail_fit(tmp_path):
    rows = [
        SheetRow("only LR", flat(0.2, 1), {}),
        SheetRow("long", torch.full((3, 4, 40), 0.2), {1: torch.full((3, 8, 80), 0.4)}, torch.full((3, 8, 80), 0.8)),
    ]
    contact_sheet(rows, tmp_path / "new" / "sheet.png")
    found = cells(tmp_path / "new" / "sheet.png", 2, 4)
    assert (found[0, 0] == 51).all()
    assert len({tuple(np.unique(cell)) for cell in found[0, 1:]}) == 1  # all empty, in one grey
    assert found[1, 3][CELL // 2, CELL // 2].tolist() == [204] * 3


def test_what_cannot_be_drawn_is_refused_and_leaves_no_file(tmp_path):
    with pytest.raises(DataError, match="at least one picture"):
        contact_sheet([], tmp_path / "a.png")
    with pytest.raises(DataError, match=r"end in \.png"):
        contact_sheet([SheetRow("a", flat(0, 4), {})], tmp_path / "a.jpg")
    assert os.listdir(tmp_path) == []
