"""At sampling one expert works at a time: the others wait in host memory."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor, nn

from linearsr.core.errors import ConfigError


class HostOffload:
    """Which of K experts are on the device, and their originals in host memory, which are never written.

    An expert's tensors keep their identity; where their values lie changes. An expert that leaves costs nothing: its copy is
    forgotten. For one thread at a time. moves: how often each expert was copied to the device.
    folder: is for originals on disk; ConfigError here.
    """

    def __init__(self, num_experts: int, folder: str | None = None):
        if folder is not None:
            raise ConfigError(f'denoiser.offload_folder is {folder!r}; it is for denoiser.offload="disk"; leave it out')
        self.moves = [0] * num_experts
        self._originals: dict[int, list[Tensor]] = {}
        self._arrivals: dict[int, torch.cuda.Event] = {}
        self._at_work: int | None = None

    @property
    def resident(self) -> list[int]:
        """Experts that have a copy on the device, in the order in which they came."""
        return list(self._originals)

    def store(self, expert: nn.Module, index: int) -> None:
        """Where the originals of a new, moved, cast or reloaded expert go. It must not be resident. Tensors without values
        (meta) stay as they are."""
        if not any(tensor.is_meta for tensor in tensors_of(expert)):
            expert.cpu()

    def use(self, experts: Sequence[nn.Module], index: int, device: torch.device) -> None:
        """Afterwards expert `index` is on the device, and no other is but one that was fetched in advance while it worked: a
        second forward on the same step, as with a guider, leaves that one there."""
        if index == self._at_work and index in self._originals:
            return
        self._at_work = index
        for other in [k for k in self._originals if k != index]:
            self._release(experts[other], other)
        if index not in self._originals:
            self._fetch(experts[index], index, device)
        arrival = self._arrivals.pop(index, None)
        if arrival is not None:
            stream = torch.cuda.current_stream(device)
            stream.wait_event(arrival)
            for tensor in tensors_of(experts[index]):
                tensor.data.record_stream(stream)

    def prefetch(self, experts: Sequence[nn.Module], index: int, device: torch.device) -> None:
        """Begins to copy expert `index` beside what the device is doing; it and the expert at work are both there then."""
        if index in self._originals:
            return
        if device.type != "cuda":
            self._fetch(experts[index], index, device)
            return
        stream = _side_stream(device)
        with torch.cuda.stream(stream):
            self._fetch(experts[index], index, device)
            self._arrivals[index] = stream.record_event()

    def release_all(self, experts: Sequence[nn.Module]) -> None:
        self._at_work = None
        for index in self.resident:
            self._release(experts[index], index)

    def _fetch(self, expert: nn.Module, index: int, device: torch.device) -> None:
        """On the CPU too it is a copy, so that every machine runs the same code."""
        tensors = tensors_of(expert)
        originals = [self._ready(tensor.data, device) for tensor in tensors]
        copies = [original.to(device, non_blocking=True, copy=True) for original in originals]
        for tensor, copied in zip(tensors, copies, strict=True):  # once all are there: memory may run out halfway
            tensor.data = copied
        self._originals[index] = originals
        self.moves[index] += 1

    def _ready(self, original: Tensor, device: torch.device) -> Tensor:
        """From pinned memory alone a copy can run beside the work."""
        return original.pin_memory() if device.type == "cuda" and not original.is_pinned() else original

    def _release(self, expert: nn.Module, index: int) -> None:
        torch.clear_autocast_cache()  # which holds 16-bit copies of what was used
        self._arrivals.pop(index, None)
        for tensor, original in zip(tensors_of(expert), self._originals.pop(index), strict=True):
            tensor.data = original


def tensors_of(expert: nn.Module) -> list[Tensor]:
    """What is an expert's own, not its trunk's."""
    return [*expert.parameters(), *expert.buffers()]


@cache
def _side_stream(device: torch.device) -> torch.cuda.Stream:
    """One for all copies: torch keeps freed memory apart by stream."""
    return torch.cuda.Stream(device)
