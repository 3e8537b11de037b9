"""FLOPs and bytes of every operation, by phase of the method and by layer of the model."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from linearsr.core.costs import flops_of
from linearsr.core.planning.memory import Memory, Piece
from linearsr.core.planning.roofline import Work
from linearsr.core.planning.shadows import Arguments, tensors_in
from linearsr.core.planning.weights import parts_with_weights

REST = "rest"
"""The phase of what belongs to no other."""
UNWRITTEN = "nobody"
"""Maker of memory into which nothing has been written."""
aten = torch.ops.aten
EMPTY = (aten.empty, aten.empty_like, aten.empty_strided, aten.new_empty, aten.new_empty_strided)
NUMBERED = re.compile(r"(?<=\.)\d+(?=\.|$)")


@dataclass
class Account:
    """One call of a phase. growth: the most bytes that were alive in it beyond what was before."""

    flops: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    bytes: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    growth: int = 0
    _read: dict[tuple[str, Piece], float] = field(default_factory=dict)

    @classmethod
    def of(cls, work: Work, growth: int) -> Account:
        account = cls(growth=growth)
        account.flops[""], account.bytes[""] = work.flops, work.bytes
        return account

    @property
    def by_layer(self) -> dict[str, Work]:
        """Dotted name of a module -> its own work, without that of the modules inside it."""
        return {layer: Work(self.flops[layer], self.bytes[layer]) for layer in {**self.flops, **self.bytes}}

    @property
    def work(self) -> Work:
        return Work(sum(self.flops.values()), sum(self.bytes.values()))

    def reads(self, layer: str, piece: Piece, nbytes: int) -> None:
        """A layer reads what others have made, each value once however often it looks."""
        if piece.maker == layer and not piece.escaped:
            return
        before = self._read.get((layer, piece), 0.0)
        after = self._read[layer, piece] = min(before + nbytes, piece.nbytes)
        self.bytes[layer] += after - before
        self.writes(piece)

    def changes(self, layer: str, piece: Piece, nbytes: int) -> None:
        """A layer writes into what is there."""
        if piece.maker == UNWRITTEN:
            piece.maker = layer
        elif piece.maker != layer or piece.escaped:
            self.bytes[layer] += nbytes

    def writes(self, piece: Piece) -> None:
        """What others read or what stays was written once by its maker."""
        if not piece.escaped and piece.maker != UNWRITTEN:
            piece.escaped = True
            self.bytes[piece.maker] += piece.nbytes

    def close(self, alive: Sequence[Piece]) -> None:
        for piece in alive:
            self.writes(piece)
        self._read.clear()


class Ledger:
    """Told of every operation. An operation belongs to the layer whose weight it reads, else to the module that is running."""

    def __init__(self, model: nn.Module):
        self.memory = Memory()
        self.peaks: defaultdict[str, int] = defaultdict(int)
        """Of each phase: the most bytes that were alive while it ran."""
        self.calls: defaultdict[str, list[Account]] = defaultdict(list)
        parts = parts_with_weights(model)
        self._names = {id(module): _join(part, name) for part, own in parts.items() for name, module in own.named_modules()}
        self._running: list[str] = [""]
        self._open: list[Account] = [Account()]
        self.calls[REST].append(self._open[0])
        for part, own in parts.items():
            for name, parameter in own.named_parameters():
                self.memory.piece(parameter, there=True).weights = _join(part, name).rpartition(".")[0]

    def note(self, operation: Any, arguments: Arguments, inputs: Sequence[Tensor], out: Any) -> None:
        """A `Watcher` of shadows."""
        known = [self.memory.piece(tensor, there=True) for tensor in inputs]
        layer = next((piece.weights for piece in known if piece.weights is not None), self._running[-1])
        account = self._open[-1]
        account.flops[layer] += flops_of(operation, *arguments, out)
        if operation.is_view:
            return
        maker = UNWRITTEN if operation.overloadpacket in EMPTY else layer
        for tensor in tensors_in(out):
            piece = self.memory.piece(tensor, maker)
            if piece in known:
                account.changes(layer, piece, tensor.numel() * tensor.itemsize)
            elif len(known) == 1:  # a cast of a weight is a weight
                piece.weights = known[0].weights
        for tensor, piece in zip(inputs, known, strict=True):
            account.reads(layer, piece, tensor.numel() * tensor.itemsize)

    @contextmanager
    def phase(self, name: str) -> Iterator[Account]:
        """What happens inside is its own, and not that of the phase around it."""
        account, memory = Account(), self.memory
        self._open[-1].close(memory.alive())
        self._open.append(account)
        before, peak = memory.live, memory.peak
        memory.peak = before
        try:
            yield account
        finally:
            account.growth = memory.peak - before
            self.peaks[name] = max(self.peaks[name], memory.peak)
            memory.peak = max(peak, memory.peak)
            account.close(memory.alive())
            self._open.pop()
            self.calls[name].append(account)

    def book(self, name: str, account: Account) -> None:
        """Adds a call that is not made, such as one that is like an earlier one."""
        self.calls[name].append(account)
        self.peaks[name] = max(self.peaks[name], self.memory.live + account.growth)
        self.memory.peak = max(self.memory.peak, self.peaks[name])

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Whichever module runs is known. The hooks are global: layers that look for hooks of their own find none."""

        def enter(module: nn.Module, *_: object) -> None:
            self._running.append(self._names.get(id(module), self._running[-1]))

        def leave(*_: object) -> None:
            self._running.pop()

        handles = register_module_forward_pre_hook(enter), register_module_forward_hook(leave, always_call=True)
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def work(self, phase: str) -> Work:
        """Of all calls together."""
        return sum((account.work for account in self.calls.get(phase, [])), Work(0, 0))


def _join(part: str, name: str) -> str:
    return ".".join(filter(None, (part, name)))


def alike(name: str) -> str:
    """`experts.0.blocks.3.attention.qkv` -> `experts.*.blocks.*.attention.qkv`."""
    return NUMBERED.sub("*", name)
