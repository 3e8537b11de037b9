"""Rows in a file and on the terminal."""

import io
import json
import math
import os

import pytest
from rich.console import Console

from linearsr.core.evaluation import print_table, write_metrics_json

ROWS = [
    {
        "dataset": "Set5", "method": "bicubic", "num_steps": None, "psnr_y": 28.432054, "ssim_y": None, "niqe": None,
        "crop_border": 4, "num_images": 5, "num_measured": {"psnr_y": 5}, "seconds_per_image": None,
    },
    {
        "dataset": "Set5", "method": "model", "num_steps": 4, "psnr_y": math.inf, "ssim_y": None, "niqe": math.nan,
        "crop_border": 4, "num_images": 5, "num_measured": {"psnr_y": 5}, "seconds_per_image": 0.25,
    },
]  # fmt: skip


def test_the_file_holds_record_and_rows_as_strict_json(tmp_path):
    path = tmp_path / "new" / "metrics.json"
    write_metrics_json(path, ROWS, {"seed": 3, "versions": {"torch": "2"}})
    back = json.loads(path.read_text(), parse_constant=pytest.fail)  # NaN and Infinity are not JSON
    assert back["record"] == {"seed": 3, "versions": {"torch": "2"}}
    assert back["rows"][0] == ROWS[0]
    assert float(back["rows"][1]["psnr_y"]) == math.inf
    assert math.isnan(float(back["rows"][1]["niqe"]))


def test_a_record_that_is_no_json_leaves_the_old_file(tmp_path):
    path = tmp_path / "metrics.json"
    write_metrics_json(path, ROWS, {})
    before = path.read_bytes()
    with pytest.raises(TypeError):
        write_metrics_json(path, ROWS, {"seed": object()})
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["metrics.json"]


def test_the_table_shows_each_row_and_only_measured_columns():
    out = io.StringIO()
    print_table(ROWS, Console(file=out, width=120))
    text = out.getvalue()
    bicubic, model = (line for line in text.splitlines() if "Set5" in line)
    assert "28.43" in bicubic
    assert "inf" in model
    assert "0.250" in model
    assert "PSNR-Y" in text
    assert "SSIM-Y" not in text
