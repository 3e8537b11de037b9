"""What of a training step is shared by iterations, and what of a config decides it."""

from dataclasses import replace

import pytest
import torch

from linearsr.core.config import load_config
from linearsr.core.costs import peak_bytes
from linearsr.core.errors import ConfigError
from linearsr.core.models import build_model
from linearsr.core.planning import DEVICES, Asked, plan_config
from linearsr.core.planning.asking import train_step_of
from linearsr.core.structures import SRBatch
from tests.core.planning.test_rehearsal import MEMORY
from tests.shipped import ROOT

QUICKSTART = ROOT / "configs" / "quickstart_x4.py"
CPU = replace(DEVICES["H100"], kind="cpu")
SMALL = {"model.denoiser.depth": 1, "test_cfg.num_steps": 1}


def planned(options):
    (stage,) = plan_config(QUICKSTART, DEVICES["H100"], Asked((8, 8)), SMALL | options)["stages"]
    return stage


def train(counts):
    return planned({"optim_wrapper.accumulative_counts": counts})["train"]


def phase(plan, name):
    (found,) = (row for row in plan["phases"] if row["phase"] == name)
    return found


def test_an_iteration_pays_for_its_share_of_the_optimisers_step():
    one, eight = train(1), train(8)
    for figure in ("bytes", "seconds"):
        assert phase(eight, "optimizer")[figure] == phase(one, "optimizer")[figure] / 8 > 0
    assert phase(eight, "evaluation") == phase(one, "evaluation")
    assert phase(eight, "backward")["flops"] == phase(one, "backward")["flops"]
    assert eight["stage_seconds"] == eight["total"]["seconds"] * one["iterations"] < one["stage_seconds"]
    assert (one["accumulated"], eight["accumulated"]) == (1, 8)


@pytest.mark.parametrize("counts", [1, 2])
def test_the_peak_of_batches_that_make_one_step_is_that_of_real_ones(counts):
    """Of one wide model and one picture: the gradients that wait for the next batch are an eighth of the peak, and without
    them it would be foreseen too low by more than is allowed."""
    options = SMALL | {"model.denoiser.depth": 2, "model.denoiser.width": 512, "train_dataloader.batch_size": 1}
    options |= {"optim_wrapper.dtype": "float32", "optim_wrapper.accumulative_counts": counts}
    cfg = load_config(QUICKSTART, options)
    lr = torch.zeros(1, 3, *train_step_of(cfg.to_dict(), upscale=4).size)
    batch = SRBatch(lr, (0,), torch.zeros(1, 3, *(4 * side for side in lr.shape[2:])))
    real = build_model(cfg.model.to_dict()).train()
    optimizer = torch.optim.AdamW(real.parameters())
    for parameter in real.parameters():  # moments of all weights, as after some steps
        parameter.grad = torch.zeros_like(parameter)
    moments = peak_bytes(optimizer.step)
    optimizer.zero_grad()

    def steps():
        for _ in range(counts):
            loss, _ = real.parse_losses(real.loss(batch))
            loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    (stage,) = plan_config(QUICKSTART, CPU, Asked((8, 8)), options)["stages"]
    assert stage["train"]["memory"]["work"] == pytest.approx(peak_bytes(steps) + moments, rel=MEMORY)


@pytest.mark.parametrize("counts", [0, -1, 1.5, "8"])
def test_counts_that_make_no_step_are_refused(counts):
    with pytest.raises(ConfigError, match=r"optim_wrapper\.accumulative_counts is .* whole number of at least 1"):
        train(counts)


AVERAGE = {"type": "EMAHook", "ema_type": "ExponentialMovingAverage", "momentum": 0.01}
NONE = {"default_hooks.averaging": None}


@pytest.mark.parametrize(
    "options",
    [
        {},
        NONE | {"custom_hooks": [AVERAGE]},
        NONE | {"custom_hooks": [AVERAGE | {"type": "mmengine.hooks.EMAHook"}]},
        NONE | {"default_hooks.mean": AVERAGE},
    ],
)
def test_an_average_of_the_weights_is_found_wherever_its_hook_stands(options):
    stage = planned(options)
    assert stage["train"]["memory"]["average"] == 4 * stage["parameters"]["denoiser"]  # float32


@pytest.mark.parametrize("options", [NONE, NONE | {"custom_hooks": [{"type": "ExpertLogHook"}]}])
def test_without_the_hook_no_average_is_counted(options):
    assert planned(options)["train"]["memory"]["average"] == 0


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_restoring_is_planned_in_the_type_in_which_the_test_restores(dtype: str) -> None:
    options = SMALL | {"optim_wrapper.dtype": "float16", "test_cfg.dtype": dtype}
    (stage,) = plan_config(QUICKSTART, CPU, Asked((8, 8)), options)["stages"]
    assert (stage["restore"]["dtype"], stage["train"]["dtype"]) == (dtype, "float16")
