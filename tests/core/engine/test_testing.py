"""Tests of a checkpoint through mmengine's Runner: what is written, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.evaluator import BaseMetric

from linearsr.core.engine import NEWEST, run_testing, run_training
from linearsr.core.errors import ConfigError, WeightsError
from linearsr.core.models import LinearSR
from linearsr.core.registries import METRICS
from tests.core.engine.conftest import scalars


@pytest.mark.parametrize(
    "change",
    [
        "denoiser.attention.type=SoftmaxAttention",
        "denoiser.head_width=16",
        "autoencoder.sigma=1.0",
        "autoencoder.type=PixelShuffle",
    ],
)
def test_a_checkpoint_of_another_method_with_the_same_shapes_is_refused(config: Path, tmp_path: Path, change: str) -> None:
    folder = run_training(config, tmp_path / "run", options=["train_cfg.max_iters=3"])
    with pytest.raises(WeightsError, match=rf"was trained with model\.{change.split('=')[0]}"):
        run_testing(config, folder, tmp_path / "out", options=[f"model.{change}"])
    run_testing(config, folder, tmp_path / "out", options=["model.solver.type=Heun"])


def test_testing_writes_pictures_rows_and_a_sheet(config: Path, tmp_path: Path) -> None:
    run = run_training(config, tmp_path / "run")
    folder = run_testing(config, run, tmp_path / "out", options=["test_cfg.num_steps=[1,3]"])
    found = json.loads((folder / "metrics.json").read_text())
    rows = {(row["method"], row["num_steps"]): row for row in found["rows"]}
    assert set(rows) == {("bicubic", None), ("model", 1), ("model", 3)}
    for row in rows.values():
        assert (row["dataset"], row["num_images"], row["crop_border"]) == ("tiny", 4, 2)
    assert found["record"]["checkpoint"].endswith("iter_6.pth")
    assert (folder / "sheet.png").is_file()
    assert len(list((folder / "restored" / "tiny").glob("*.png"))) == 8


def test_validation_and_test_measure_the_same(config: Path, tmp_path: Path) -> None:
    run = run_training(config, tmp_path / "run")
    rows = json.loads((run_testing(config, run / "iter_6.pth", tmp_path / "out") / "metrics.json").read_text())["rows"]
    tested = next(row["psnr_y"] for row in rows if row["num_steps"] == 1)
    assert tested == pytest.approx(scalars(run, "psnr_y")[-1], abs=1e-9)


def test_without_ground_truth_pictures_are_written_and_nothing_is_measured(config: Path, data: Path, tmp_path: Path) -> None:
    options = {
        "test_dataloader.dataset": {
            "_delete_": True, "type": "LRFolder", "root": str(data), "name": "real", "pipeline": [{"type": "LoadPictures"}],
        }
    }  # fmt: skip
    folder = run_testing(config, None, tmp_path / "out", options=options)
    rows = json.loads((folder / "metrics.json").read_text())["rows"]
    assert all(row["psnr_y"] is None for row in rows)
    assert len(list((folder / "restored" / "real").glob("*_1step.png"))) == 4


def test_an_untrained_model_tests_as_bicubic_at_one_step(config: Path, tmp_path: Path) -> None:
    rows = json.loads((run_testing(config, None, tmp_path / "out") / "metrics.json").read_text())["rows"]
    psnr = {(row["method"], row["num_steps"]): row["psnr_y"] for row in rows}
    # 8-bit rounding of a value within 1e-6 of half a level can fall either way
    assert psnr["model", 1] == pytest.approx(psnr["bicubic", None], abs=0.01)


def test_a_test_in_the_runs_folder_leaves_its_config_alone(config: Path, tmp_path: Path) -> None:
    folder = run_training(config, tmp_path / "run", options=["train_cfg.max_iters=3"])
    before = (folder / "tiny.py").read_text()
    run_testing(config, folder, folder)
    assert (folder / "tiny.py").read_text() == before


def test_a_checkpoint_of_another_architecture_is_refused_with_names(config: Path, tmp_path: Path) -> None:
    run = run_training(config, tmp_path / "run", options=["train_cfg.max_iters=3"])
    for change in (["model.denoiser.width=24"], ["model.denoiser.depth=2"]):
        with pytest.raises(WeightsError, match=r"iter_3\.pth does not fit LinearSR: .*(missing|another shape)"):
            run_testing(config, run / "iter_3.pth", tmp_path / "out", options=change)
        with pytest.raises(WeightsError, match="does not fit"):
            run_training(config, run, resume=NEWEST, options=change)
    assert not (tmp_path / "out").exists()


class CountedPictures(BaseMetric):
    """A metric of somebody else."""

    default_prefix = "theirs"

    def process(self, data_batch: object, data_samples: list) -> None:
        self.results.extend(1 for _ in data_samples)

    def compute_metrics(self, results: list) -> dict[str, int]:
        return {"pictures": len(results)}


def test_the_figures_of_another_metric_are_written_too(config: Path, tmp_path: Path) -> None:
    ours = {"type": "PictureMetrics", "metrics": ["psnr_y"], "crop_border": 2}
    options = {"test_evaluator": [ours, {"type": f"{__name__}.CountedPictures"}], "test_cfg.num_steps": [1]}
    found = json.loads((run_testing(config, None, tmp_path / "out", options=options) / "metrics.json").read_text())
    assert found["figures"]["theirs/pictures"] == 4
    assert found["figures"]["psnr_y"] == pytest.approx(next(r["psnr_y"] for r in found["rows"] if r["num_steps"] == 1))


def test_pictures_are_restored_in_the_type_that_the_config_names(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed, restore = [], LinearSR.restore

    def watched(self: LinearSR, *given: Any, **named: Any) -> torch.Tensor:
        computed.append(torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else torch.float32)
        return restore(self, *given, **named)

    monkeypatch.setattr(LinearSR, "restore", watched)
    options = {"val_cfg.dtype": "float16", "test_cfg.dtype": "bfloat16", "optim_wrapper.type": "PrecisionOptimWrapper"}
    run = run_training(config, tmp_path / "run", options=options)
    assert set(computed) == {torch.float16}
    computed.clear()
    rounded = run_testing(config, run, tmp_path / "out", options=options)
    assert set(computed) == {torch.bfloat16}
    exact = run_testing(config, run, tmp_path / "exact")
    assert set(computed) == {torch.bfloat16, torch.float32}
    first, second = (json.loads((folder / "metrics.json").read_text())["rows"][1]["psnr_y"] for folder in (rounded, exact))
    assert first == pytest.approx(second, abs=0.1)  # dB
    with pytest.raises(ConfigError, match=r"test_cfg\.dtype is 'bf16'.*wanted 'float32', 'bfloat16'"):
        run_testing(config, run, tmp_path / "never", options={"test_cfg.dtype": "bf16"})


@METRICS.register_module()
class AsksForGradients(BaseMetric):
    """Of a third party, with a network: it must not record what it computes."""

    default_prefix = ""

    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results.append(torch.is_grad_enabled())

    def compute_metrics(self, results: list[bool]) -> dict[str, float]:
        return {"recorded": float(any(results))}


def test_metrics_record_no_gradients(config: Path, tmp_path: Path) -> None:
    evaluators = [{"type": "PictureMetrics", "crop_border": 2}, {"type": f"{__name__}.AsksForGradients"}]
    run_training(config, tmp_path / "run", options={"val_evaluator": evaluators, "train_cfg.max_iters": 3})
    assert set(scalars(tmp_path / "run", "recorded")) == {0.0}
