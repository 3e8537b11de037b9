"""tools/preview_degradation.py"""

from pathlib import Path

import pytest
from PIL import Image

from tests.tools.conftest import ROOT, Run


@pytest.mark.parametrize("described", ["SeeSRPaired", str(ROOT / "configs/real_x4.py")])
def test_a_sheet_of_the_bundled_photos_is_written(run: Run, tmp_path: Path, described: str) -> None:
    done = run("preview_degradation.py", described, "--out", tmp_path / "sheet.png", "--draws", 2)
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 3 * 256
        assert sheet.height > 3 * 256
        assert len(sheet.getcolors(2**24) or ()) > 1000


def test_another_seed_is_another_sheet(run: Run, tmp_path: Path, data: Path) -> None:
    sheets = []
    for seed in (0, 0, 1):
        run("preview_degradation.py", "StableSR", "--pictures", data, "--out", tmp_path / "s.png", "--seed", seed)
        sheets.append((tmp_path / "s.png").read_bytes())
    assert sheets[0] == sheets[1] != sheets[2]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["StableSRR"], "did you mean 'StableSR'"),
        ([str(ROOT / "configs/quickstart_x4.py")], "no RealESRGANDegradation"),
        (["SeeSR", "--pictures", "nowhere"], "nowhere"),
        (["SeeSR", "--out", "sheet.jpg"], "let the name end in .png"),
        (["SeeSR", "--draws", "0"], "draws=0"),
    ],
)
def test_what_cannot_be_shown_is_said_in_one_line(run: Run, words: list[str], said: str) -> None:
    done = run("preview_degradation.py", *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
