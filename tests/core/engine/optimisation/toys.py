"""A wrapper around a small network, stepped by hand."""

from typing import Any

import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.logging import MessageHub
from torch import Tensor, nn

from linearsr.core.engine import PrecisionOptimWrapper


def network(dtype: torch.dtype = torch.float32) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.SiLU(), nn.Linear(8, 3)).to(dtype)


def rows(number: int, seed: int = 1, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    draws = torch.Generator().manual_seed(seed)
    return torch.randn(number, 6, generator=draws, dtype=dtype), torch.randn(number, 3, generator=draws, dtype=dtype)


def wrapper(model: nn.Module, lr: float = 0.1, **options: Any) -> PrecisionOptimWrapper:
    MessageHub.get_current_instance().log_scalars.clear()
    MessageHub.get_current_instance().runtime_info.clear()
    return PrecisionOptimWrapper(torch.optim.SGD(model.parameters(), lr=lr), **options)


def step(model: nn.Module, own: PrecisionOptimWrapper, x: Tensor, y: Tensor) -> Tensor:
    with own.optim_context(model):
        loss = (model(x).float() - y).square().mean() if x.dtype is torch.float32 else (model(x) - y).square().mean()
    own.update_params(loss)
    return loss.detach()


def logged(name: str) -> list[float]:
    return [float(value) for value in MessageHub.get_current_instance().get_scalar(f"train/{name}").data[0]]


class NaNOnRank(Hook):
    """Not a number in what one rank's model sees, at the `at`-th time that it sees anything."""

    def __init__(self, at: int, rank: int):
        self.at, self.rank, self.seen = at, rank, 0

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        self.seen += 1
        if self.seen == self.at and get_rank() == self.rank:
            data_batch["hr"][0, 0, 0, 0] = float("nan")
