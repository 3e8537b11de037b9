"""The moment at which a step must not be taken or should not have been, and its detection on all ranks at once."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from mmengine.dist import all_gather_object, all_reduce
from torch import Tensor

from linearsr.core.errors import DivergenceError

ADVICE = "resume from the last checkpoint with a lower optim_wrapper.optimizer.lr or a lower clip_grad.max_norm"


@dataclass(frozen=True)
class Alarm:
    """An early sign of divergence, while every number is finite still.

    what:  "loss range", "gradient range", "query-key growth", "denominator" or "state"
    figure, limit: what was seen, and where it should have stayed below (for denominators: above)
    text:  for people, with both and what they are of. layer: name in the model, where it is about one
    """

    what: str
    figure: float
    limit: float
    text: str
    layer: str | None = None


class Diverged(DivergenceError):  # noqa: N818  (what happened; whether it is an error is decided by a DivergenceHook)
    """Raised on all ranks: out of a train step, before the weights change, with the gradients left for whoever looks for the
    cause; or, with an `alarm`, after the step was taken and before anything of it is saved.

    what: "loss", "gradient", or that of the alarm. value: this rank's own loss, or the norm of the gradient, or the alarm's
    figure. here: whether this rank's own numbers are bad, rather than another's.
    """

    def __init__(self, what: str, value: float, here: bool, note: str = "", alarm: Alarm | None = None):
        said = f"the {what} is not finite ({value}{note})" if alarm is None else alarm.text
        super().__init__(f"{said}; {ADVICE}")
        self.what, self.value, self.here, self.note, self.alarm = what, value, here, note, alarm


def raise_alarm(*alarms: Alarm | None) -> None:
    """Raises Diverged on every rank if any of them has an alarm: the first one of the first. Every rank must call it."""
    own = next(filter(None, alarms), None)
    flag = torch.tensor([float(own is not None)])
    all_reduce(flag)
    if flag.item():
        first = next(filter(None, all_gather_object(own)))
        raise Diverged(first.what, first.figure, here=own is not None, alarm=first)


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
