"""The moment at which a step must not be taken, and its detection on all ranks at once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from mmengine.dist import all_reduce
from torch import Tensor

from linearsr.core.errors import DivergenceError

ADVICE = "resume from the last checkpoint with a lower optim_wrapper.optimizer.lr or a lower clip_grad.max_norm"


class Diverged(DivergenceError):  # noqa: N818  (what happened; whether it is an error is decided by a DivergenceHook)
    """Raised out of a train step, on all ranks, before the weights change; gradients are left for whoever looks for the cause.

    what: "loss" or "gradient". value: this rank's own loss, or the norm of the gradient. here: whether this rank's own
    numbers are bad, rather than another's.
    """

    def __init__(self, what: Literal["loss", "gradient"], value: float, here: bool, note: str = ""):
        super().__init__(f"the {what} is not finite ({value}{note}); {ADVICE}")
        self.what, self.value, self.here, self.note = what, value, here, note


@dataclass(frozen=True)
class Look:
    """bad_loss, bad_gradient: of any rank. loss, norm, scale: this rank's own."""

    bad_loss: bool
    bad_gradient: bool
    loss: float
    norm: float
    scale: float

    @property
    def bad_loss_here(self) -> bool:
        return not math.isfinite(self.loss)


@torch.no_grad()
def look(loss: Tensor, norm: Tensor, scale: Tensor) -> Look:
    """Scalars on the device. Every rank must call it; the device is waited for once."""
    own = torch.stack([loss.detach().float().mean(), norm.to(loss.device).float(), scale.to(loss.device).float()])
    flags = torch.stack([~loss.isfinite().all(), ~norm.to(loss.device).isfinite()]).float()
    all_reduce(flags)
    bad_loss, bad_gradient, *values = torch.cat([flags, own]).tolist()
    return Look(bad_loss > 0, bad_gradient > 0, *values)
