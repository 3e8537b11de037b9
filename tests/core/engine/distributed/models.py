"""A small guided model and batches for it."""

from typing import Any

import torch
from torch import Tensor

from linearsr.core.models import LinearSR, build_model
from linearsr.core.structures import SRBatch

DENOISER: dict[str, Any] = {
    "type": "LinearDiT", "depth": 2, "width": 16, "head_width": 8,
    "attention": {"type": "ReLULinearAttention"}, "feed_forward": {"type": "GatedConvFeedForward", "ratio": 1.0},
    "lr_stem": {"type": "ConvStem", "width": 8, "depth": 1},
}  # fmt: skip
MODEL: dict[str, Any] = {
    "type": "LinearSR", "upscale": 2, "autoencoder": {"type": "ResidualPixelShuffle", "factor": 2}, "denoiser": DENOISER,
    "guidance": {"type": "NullGuidance", "width": 4}, "preconditioner": {"type": "VelocityPreconditioner"},
    "path": {"type": "RectifiedFlow"}, "time_sampler": {"type": "EndWeightedTimes", "p_end": 0.3},
    "time_grid": {"type": "UniformGrid"}, "solver": {"type": "Euler"},
}  # fmt: skip


def small_model(seed: int = 0, **denoiser: Any) -> LinearSR:
    torch.manual_seed(seed)
    return build_model(MODEL | {"denoiser": DENOISER | denoiser})


def pictures(step: int, batch: int = 4) -> dict[str, Any]:
    draws = torch.Generator().manual_seed(step)
    lr, hr = torch.rand(batch, 3, 8, 8, generator=draws), torch.rand(batch, 3, 16, 16, generator=draws)
    return {"lr": lr, "hr": hr, "seeds": list(range(step * batch, (step + 1) * batch))}


def share(batch: dict[str, Any], rank: int, ranks: int) -> dict[str, Any]:
    return {key: value[rank::ranks] for key, value in batch.items()}


def loss_of(model: LinearSR, batch: dict[str, Any]) -> Tensor:
    return model.loss(SRBatch(batch["lr"], tuple(batch["seeds"]), batch["hr"]))["loss"]
