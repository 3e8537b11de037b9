"""tools/benchmarks/autoencoder_ceiling.py"""

import json
from pathlib import Path

import torch

from linearsr.core.data import write_image
from tests.core.autoencoders.small_networks import write_taesd
from tests.tools.conftest import Run

TOOL = "benchmarks/autoencoder_ceiling.py"


def ceiling(run: Run, config: Path, *options: str) -> dict:
    done = run(TOOL, config, "--out", "ceiling.json", "--cfg-options", "test_evaluator.metrics=[psnr_y,ssim_y]", *options)
    assert done.returncode == 0, done.stderr
    return json.loads(Path("ceiling.json").read_text())["sets"]["tiny"]


def test_what_loses_nothing_has_no_ceiling_and_what_is_random_has_a_low_one(run: Run, config: Path, tmp_path: Path) -> None:
    exact = ceiling(run, config)
    assert exact["mean"]["ssim_y"] == 1
    taesd = write_taesd(tmp_path, channels=8)
    random = ceiling(run, config, f"model.autoencoder={dict(_delete_=True, type='TinyAutoencoder', **taesd)}")
    assert random["mean"]["psnr_y"] < 30
    assert random["pictures"] == exact["pictures"] == len(exact["each"])


def test_without_hr_it_is_one_line(run: Run, config: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "lr" / "a.png", torch.rand(3, 16, 16))
    pictures = {"_delete_": True, "type": "LRFolder", "root": str(tmp_path / "lr"), "pipeline": [{"type": "LoadPictures"}]}
    done = run(TOOL, config, "--cfg-options", f"test_dataloader.dataset={pictures}")
    assert done.returncode == 2
    assert "none of the test pictures has HR" in done.stderr
