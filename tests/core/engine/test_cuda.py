"""The same run and the same picture on a CUDA device. Skipped where there is none."""

from pathlib import Path

import pytest
import torch

from linearsr.core.engine import PrecisionOptimWrapper, run_training
from linearsr.core.engine.optimisation import Diverged
from linearsr.core.engine.optimisation.blame import find_cause
from linearsr.core.models import load_model
from tests.core.engine.conftest import scalars
from tests.core.engine.distributed.models import pictures, small_model

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


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_twenty_steps_on_the_device_lower_the_loss(dtype: str) -> None:
    model = small_model().cuda().train()
    own = PrecisionOptimWrapper(torch.optim.AdamW(model.parameters(), lr=1e-2), dtype=dtype, clip_grad={"max_norm": 1.0})
    seen = []
    model.denoiser.blocks[0].attention.qkv.register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    losses = [model.train_step(pictures(0), own)["loss"].item() for _ in range(20)]  # the same pictures, times and noise
    assert set(seen) == {getattr(torch, dtype)}
    assert own.steps >= 15  # the scale of float16 may begin too high
    assert losses[-1] < 0.9 * losses[0]


def test_16_bits_on_the_device_begin_with_the_losses_of_float32(config: Path, tmp_path: Path) -> None:
    losses = {}
    for dtype in ("float32", "bfloat16", "float16"):
        options = {"optim_wrapper.type": "PrecisionOptimWrapper", "optim_wrapper.dtype": dtype}
        losses[dtype] = scalars(run_training(config, tmp_path / dtype, options=options), "loss")
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=1e-2)
    assert losses["float16"] == pytest.approx(losses["float32"], rel=1e-2)


def test_the_bad_module_is_named_on_the_device() -> None:
    model = small_model().cuda().train()
    model.denoiser.blocks[1].feed_forward.register_forward_hook(lambda module, inputs, output: output * float("nan"))
    own = PrecisionOptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1), dtype="bfloat16")
    with pytest.raises(Diverged) as caught:
        model.train_step(pictures(0), own)
    cause = find_cause(caught.value, model, pictures(0), own)
    assert "first in denoiser.blocks.1.feed_forward (GatedConvFeedForward)" in cause.text
