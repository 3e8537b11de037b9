"""A model without weights goes through the method, and a ledger says what that costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from linearsr.core.planning.ledger import Account, Ledger
from linearsr.core.planning.optimizer_trial import try_optimizer
from linearsr.core.planning.roofline import Work
from linearsr.core.planning.shadows import Shadows, empty_weights
from linearsr.core.planning.weights import bytes_of, parts_with_weights, weight_bytes
from linearsr.core.registries import MODELS
from linearsr.core.structures import SRBatch

EVALUATION, PREPARE, ENCODE, DECODE, BACKWARD, STEP = "evaluation", "prepare", "encode", "decode", "backward", "optimizer"
"""Phases; an evaluation is one call of the denoiser."""


class Rehearsal:
    """A model as shapes: in `restore` and `train` it does what it would do on a CPU, on shapes.

    model: a model dict, or one that is made of shadows already (`shadow_copy`); neither plans for memory itself
    in_strips: False for a device other than a CPU, on which a feed-forward works on the whole picture at once
    """

    def __init__(self, model: Mapping[str, Any] | nn.Module, *, in_strips: bool = True):
        self.shadows = Shadows()
        self.model: Any = model if isinstance(model, nn.Module) else self._build(model)
        if not in_strips:
            for module in self.model.modules():
                if hasattr(module, "strip_tokens"):
                    module.strip_tokens = 2**62

    def restore(
        self,
        height: int,
        width: int,
        num_steps: int,
        batch: int = 1,
        dtype: torch.dtype | None = None,
        of: torch.dtype = torch.float32,
    ) -> Ledger:
        """Of LR pictures of that size; dtype: of autocast; of: of the pictures. Calls of the denoiser like earlier ones are
        booked, not made."""
        model = self.model.eval()
        lr = torch.zeros(batch, 3, height, width, dtype=of)
        with self._booked(lr, repeat=True) as ledger, torch.no_grad(), _autocast(dtype):
            model.restore(lr, num_steps, list(range(batch)))
        return ledger

    def train(
        self, height: int, width: int, batch: int, optimizer: Mapping[str, Any], dtype: torch.dtype | None = None
    ) -> Ledger:
        """A step on LR crops of that size, in which the moments that an optimiser keeps of all weights are there before."""
        model = self.model.train()
        lr = torch.zeros(batch, 3, height, width)
        pictures = SRBatch(lr, tuple(range(batch)), torch.zeros(batch, 3, height * model.upscale, width * model.upscale))
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        with self.shadows:
            trial = try_optimizer(optimizer, max(trained, key=torch.Tensor.numel))
        with self._booked(lr, pictures.hr) as ledger:
            ledger.memory.hold(round(trial.kept * sum(parameter.numel() for parameter in trained)))
            with _autocast(dtype):
                loss, _ = model.parse_losses(model.loss(pictures))
            with ledger.phase(BACKWARD):
                loss.backward()
            given = sum(parameter.numel() for parameter in trained if parameter.grad is not None)
            ledger.book(STEP, Account.of(Work(0, trial.moved * given), trial.growth))
            model.zero_grad()
        return ledger

    def resident_bytes(self) -> int:
        """Of parameters and buffers, the autoencoder's own too."""
        return weight_bytes(self.model)

    def trained_bytes(self) -> int:
        """Of the parameters that training changes: of an average of them, too."""
        return bytes_of(parameter for parameter in self.model.parameters() if parameter.requires_grad)

    def _build(self, described: Mapping[str, Any]) -> Any:
        with self.shadows:
            model = MODELS.build({key: value for key, value in described.items() if key != "memory_gib"})
            parts = parts_with_weights(model)
        for part in parts.values():
            empty_weights(part)
        return model

    @contextmanager
    def _booked(self, *there: Tensor | None, repeat: bool = False) -> Iterator[Ledger]:
        ledger, model = Ledger(self.model), self.model
        for tensor in there:
            if tensor is not None:
                ledger.memory.piece(tensor, there=True)
        parts = {
            PREPARE: (model.denoiser, "prepare"),
            ENCODE: (model.autoencoder, "encode"),
            DECODE: (model.autoencoder, "decode"),
        }
        self.shadows.watch = ledger.note
        try:
            for phase, (part, name) in parts.items():
                setattr(part, name, _in_phase(ledger, phase, getattr(part, name)))
            model.denoiser.forward = _Evaluations(ledger, model.denoiser, repeat)
            with ledger.watching(), self.shadows:
                yield ledger
        finally:
            self.shadows.watch = None
            for part, name in (*parts.values(), (model.denoiser, "forward")):
                vars(part).pop(name, None)


class _Evaluations:
    """In place of a denoiser's forward. An expert's first call, in which it may prepare, is made; of those that follow, one of
    any expert stands for all."""

    def __init__(self, ledger: Ledger, denoiser: nn.Module, repeat: bool):
        self.ledger, self.repeat, self.forward = ledger, repeat, denoiser.forward
        self.router = getattr(denoiser, "router", None)
        self.begun: set[Any] = set()
        self.settled: dict[Any, tuple[Account, torch.dtype]] = {}

    def __call__(self, z_t: Tensor, t: Tensor, *told: Any, **named: Any) -> Tensor:
        asked = z_t.shape, z_t.dtype, *map(id, named.values())
        started = (self._experts(t), asked) in self.begun
        if self.repeat and started and asked in self.settled:
            account, dtype = self.settled[asked]
            self.ledger.book(EVALUATION, account)
            return torch.empty_like(z_t, dtype=dtype)
        with self.ledger.phase(EVALUATION) as account:
            out = self.forward(z_t, t, *told, **named)
        if started:
            self.settled[asked] = account, out.dtype
        self.begun.add((self._experts(t), asked))
        return out

    def _experts(self, t: Tensor) -> tuple[int, ...]:
        if self.router is None or not self.router.depends_on_time_only:
            return ()
        return tuple(self.router.route(t).tolist())


def _in_phase(ledger: Ledger, phase: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def noted(*args: Any, **kwargs: Any) -> Any:
        with ledger.phase(phase):
            return function(*args, **kwargs)

    return noted


def _autocast(dtype: torch.dtype | None) -> torch.autocast:
    return torch.autocast("cpu", dtype=dtype or torch.bfloat16, enabled=dtype not in (None, torch.float32))
