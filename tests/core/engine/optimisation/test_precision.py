"""What 16 bits touch in a training run, and what they must not."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from linearsr.attention import chunked
from linearsr.core.engine import NEWEST, PrecisionOptimWrapper, run_training
from tests.core.engine.conftest import ROOT, same_weights, scalars
from tests.core.engine.distributed.models import pictures, small_model

QUICKSTART = ROOT / "configs" / "quickstart_x4.py"


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_time_latents_sums_over_tokens_and_the_loss_keep_float32(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = small_model().train()
    own = PrecisionOptimWrapper(torch.optim.SGD(model.parameters(), lr=0.1), dtype=dtype)
    states, times, encoded, products = [], [], [], []
    honest_sum, honest_encode = chunked.sum_blocks, model.autoencoder.encode
    layer = nn.Linear(2, 2)

    def sum_blocks(k: Tensor, v: Tensor, wide: torch.dtype, rectify: bool) -> Tensor:
        states.append(honest_sum(k, v, wide, rectify))
        return states[-1]

    def encode(*inputs: Tensor) -> Tensor:
        encoded.append(layer(torch.ones(1, 2)))  # what a learned autoencoder is made of
        return honest_encode(*inputs)

    monkeypatch.setattr(chunked, "sum_blocks", sum_blocks)
    monkeypatch.setattr(model.autoencoder, "encode", encode)
    model.denoiser.register_forward_pre_hook(lambda module, inputs: times.append(inputs[1]))
    model.denoiser.blocks[0].attention.qkv.register_forward_hook(lambda module, inputs, output: products.append(output))
    with own.optim_context(model):
        loss = model(**pictures(0), mode="loss")["loss"]
    assert products[0].dtype is getattr(torch, dtype)
    assert times[0].dtype is torch.float64
    assert encoded[0].dtype is torch.float32
    assert loss.dtype is torch.float32
    assert {state.dtype for state in states} == {torch.float32}


def test_the_shipped_recipe_has_the_very_weights_of_mmengines_wrapper(tmp_path: Path) -> None:
    """Three steps of the quickstart."""
    options: dict[str, Any] = {"train_cfg.max_iters": 3, "val_dataloader": None, "val_cfg": None, "val_evaluator": None}
    ours = run_training(QUICKSTART, tmp_path / "ours", options=options)
    theirs = run_training(QUICKSTART, tmp_path / "theirs", options=options | {"optim_wrapper.type": "OptimWrapper"})
    assert "PrecisionOptimWrapper" in (ours / "quickstart_x4.py").read_text()
    assert same_weights(ours / "iter_3.pth", theirs / "iter_3.pth")


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_six_iterations_are_three_and_three_resumed_in_16_bits(config: Path, tmp_path: Path, dtype: str) -> None:
    """The scale grows at the fourth step: it is 2^12 from there on only if the steps before the resume are counted."""
    options = {"optim_wrapper.type": "PrecisionOptimWrapper", "optim_wrapper.dtype": dtype}
    if dtype == "float16":
        options["optim_wrapper.loss_scale"] = {"init_scale": 2.0**11, "growth_interval": 4}
    straight = run_training(config, tmp_path / "straight", options=options)
    halves = tmp_path / "halves"
    halves.mkdir()
    shutil.copy(straight / "iter_3.pth", halves)
    run_training(config, halves, resume=NEWEST, options=options)
    assert same_weights(straight / "iter_6.pth", halves / "iter_6.pth")
    if dtype == "float16":
        saved = [torch.load(run / "iter_6.pth", weights_only=True)["optimizer"]["loss_scaler"] for run in (straight, halves)]
        assert saved[0] == saved[1]
        assert saved[0]["scale"] == 2.0**12
    assert scalars(straight, "grad_norm")[3:] != []


def test_16_bits_give_nearly_the_losses_of_float32(config: Path, tmp_path: Path) -> None:
    losses = {}
    for dtype in ("float32", "bfloat16", "float16"):
        options = {"optim_wrapper.type": "PrecisionOptimWrapper", "optim_wrapper.dtype": dtype}
        losses[dtype] = scalars(run_training(config, tmp_path / dtype, options=options), "loss")
    assert losses["bfloat16"] != losses["float32"]
    # the head starts at 0: in these six steps little of the loss passes through rounded products
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=2e-3)
    assert losses["float16"] == pytest.approx(losses["float32"], rel=2e-3)
