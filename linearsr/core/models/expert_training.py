"""Training a denoiser of experts: how often each is drawn, what its loss counts, and what it cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from linearsr.core.errors import ConfigError
from linearsr.core.protocols import TimeSampler
from linearsr.core.randomness import generator

SHARE, ERROR = "expert_{}/share", "expert_{}/error"
"""Names in the model's losses, by expert; neither says "loss", which mmengine would add to the loss itself."""


def expert_training(
    denoiser: Any,
    sampler: TimeSampler,
    shares: Sequence[float] | None,
    loss_weights: Sequence[float] | None,
    balance: float | None,
) -> ExpertTraining | None:
    """None for a denoiser without experts. Raises ConfigError where it has none and any of the others is set."""
    if hasattr(denoiser, "experts") and hasattr(denoiser, "assign"):
        return ExpertTraining(sampler, denoiser.router, len(denoiser.experts), shares, loss_weights, balance)
    for key, value in (("expert_shares", shares), ("expert_loss_weights", loss_weights), ("expert_balance", balance)):
        if value is not None:
            raise ConfigError(f"model.{key} is set, but model.denoiser has no experts; leave it out, or use ExpertMixture")
    return None


class ExpertTraining:
    """Times by expert, and losses by expert, of K experts.

    shares:       how often each expert is trained, as numbers that are compared with one another, ≥ 0: [1, 1, 1, 1] all alike,
                  [0, 0, 1, 0] the third alone, on its own interval. Each picture's seed decides which expert it is for, then
                  its time in that expert's interval. None: times as the sampler draws them
    loss_weights: what a picture's error counts, by its expert, ≥ 0; None: 1. Shares q in place of the sampler's own shares p
                  train another mean: weights p/q give the old one back (importance weights). It matters to what experts share;
                  an expert's own weights meet no other expert's error, and Adam divides a constant out again
    balance:      of a router that learns: the factor, > 0, of its load balancing loss; Switch Transformer has 0.01. None: none

    Raises ConfigError for other numbers, for shares with a router that looks at more than t, and for an expert to be trained
    where the sampler has no times.
    """

    def __init__(
        self,
        sampler: TimeSampler,
        router: Any,
        num_experts: int,
        shares: Sequence[float] | None = None,
        loss_weights: Sequence[float] | None = None,
        balance: float | None = None,
    ):
        if balance is not None and not (balance > 0 and hasattr(router, "weights")):
            raise ConfigError(f"model.expert_balance is {balance}; wanted > 0 with a router that learns, else leave it out")
        self.balance = balance
        self.sampler, self.num_experts = sampler, num_experts
        self.intervals = list(pairwise((0.0, *router.boundaries, 1.0)))
        self.shares = None if shares is None else _checked(shares, num_experts, "expert_shares")
        self.loss_weights = None if loss_weights is None else _checked(loss_weights, num_experts, "expert_loss_weights")
        if self.shares is not None:
            self._try_every_expert(router)

    def sample(self, n: int, draw: torch.Generator | None = None) -> Tensor:
        """float64 [n] on the CPU."""
        if self.shares is None:
            return self.sampler.sample(n, draw)
        upto = self.shares.cumsum(0)
        levels = upto / upto[-1]
        drawn = torch.rand(n, generator=draw, dtype=torch.float64)  # below 1, so an expert of share 0 is never met
        chosen: list[int] = torch.bucketize(drawn, levels[:-1], right=True).tolist()
        return torch.cat([self.sampler.sample(1, draw, interval=self.intervals[expert]) for expert in chosen])

    def losses(self, errors: Tensor, served: Tensor) -> dict[str, Tensor]:
        """errors [B], each picture's mean squared error; served int64 [B], its expert.

        "loss", the weighted mean; for each expert k its share of the pictures and its share of the mean error, so that their
        quotient, also of sums over batches and ranks, is its mean error. Every name is there, whichever experts are.
        """
        weighted = errors if self.loss_weights is None else self.loss_weights.to(errors)[served] * errors
        found = {"loss": weighted.mean()}
        for expert in range(self.num_experts):
            own = (served == expert).to(errors.dtype)
            found[SHARE.format(expert)] = own.mean()
            found[ERROR.format(expert)] = (own * errors.detach()).mean()
        return found

    def balance_loss(self, denoiser: Any, t: Tensor, lr: Tensor) -> dict[str, Tensor]:
        """What the router gets besides the loss, by name: mmengine adds up all names with "loss". Empty without a balance."""
        return {} if self.balance is None else {"loss_balance": self.balance * denoiser.load_balance(t, lr)}

    def _try_every_expert(self, router: Any) -> None:
        assert self.shares is not None
        if not router.depends_on_time_only:
            raise ConfigError(
                "model.expert_shares draws times from experts' intervals, and this router looks at more than t; leave it out"
            )
        for expert, (low, high) in enumerate(self.intervals):
            if self.shares[expert] > 0:
                try:
                    self.sampler.sample(1, generator(0), interval=(low, high))
                except ConfigError as error:
                    raise ConfigError(
                        f"model.expert_shares trains expert {expert}, which serves {low} ≤ t < {high}: {error}"
                    ) from error


def _checked(numbers: Sequence[float], count: int, key: str) -> Tensor:
    usable = len(numbers) == count and all(math.isfinite(number) and number >= 0 for number in numbers)
    if not usable or not sum(numbers) > 0:
        raise ConfigError(f"model.{key} is {list(numbers)}; wanted {count} numbers ≥ 0, one for each expert, not all of them 0")
    return torch.tensor([float(number) for number in numbers], dtype=torch.float64)
