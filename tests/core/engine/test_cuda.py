"""The same run and the same picture on a CUDA device. Skipped where there is none."""

from pathlib import Path

import pytest
import torch

from linearsr.core.engine import run_training
from linearsr.core.models import load_model
from tests.core.engine.test_training import scalars

pytestmark = pytest.mark.gpu


def test_training_on_the_device_starts_with_the_losses_of_the_cpu(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = scalars(run_training(config, tmp_path / "device"), "loss")
    monkeypatch.setattr("mmengine.device.utils.DEVICE", "cpu")
    host = scalars(run_training(config, tmp_path / "host"), "loss")
    # float32 sums in another order, over six steps of training
    assert device == pytest.approx(host, rel=1e-3)


def test_a_picture_restored_on_the_device_is_that_of_the_cpu(config: Path, tmp_path: Path) -> None:
    model = load_model(config, run_training(config, tmp_path / "run") / "iter_6.pth")
    lr = torch.rand(2, 3, 9, 13, generator=torch.Generator().manual_seed(0))
    host = model.restore(lr, num_steps=4)
    device = model.cuda().restore(lr.cuda(), num_steps=4)
    assert device.is_cuda
    # the noise is drawn on the CPU for both; TF32 is off by default, so this is float32 rounding over four steps
    assert (device.cpu() - host).abs().max() < 1e-3
