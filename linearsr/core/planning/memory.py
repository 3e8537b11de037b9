"""Which storages are alive, how much that is, and the most that it was."""

from __future__ import annotations

import weakref
from dataclasses import dataclass

import torch
from torch import Tensor

from linearsr.core.planning.shadows import Shadow


@dataclass(eq=False)
class Piece:
    """One storage, from its first tensor to its last. maker: who made it; escaped: whether another than its maker has read it,
    or it outlived the phase; weights: of which layer it is or holds a copy, None for what is no weight."""

    nbytes: int
    maker: str
    alive: bool = True
    escaped: bool = False
    weights: str | None = None


class Memory:
    """Sums the storages of all tensors that it is shown. live, peak: bytes, without those that were `there` before."""

    def __init__(self) -> None:
        self.live = self.peak = 0
        self._pieces: dict[int, Piece] = {}
        self._watched: dict[int, weakref.ref[torch.UntypedStorage]] = {}

    def piece(self, tensor: Tensor, maker: str = "", *, there: bool = False) -> Piece:
        """Of the tensor's storage; new ones count from now on until they are gone."""
        storage = (tensor.meta if isinstance(tensor, Shadow) else tensor).untyped_storage()
        key = storage._cdata
        known = self._pieces.get(key)
        if known is not None:
            return known
        size = 0 if there else storage.nbytes()
        piece = self._pieces[key] = Piece(storage.nbytes(), maker, escaped=there)
        self._watched[key] = weakref.ref(storage, lambda _: self._gone(key, size))
        self.live += size
        self.peak = max(self.peak, self.live)
        return piece

    def hold(self, nbytes: int) -> None:
        """Counts bytes that no tensor shows, from now on."""
        self.live += nbytes
        self.peak = max(self.peak, self.live)

    def alive(self) -> list[Piece]:
        return list(self._pieces.values())

    def _gone(self, key: int, size: int) -> None:
        self._pieces.pop(key).alive = False
        del self._watched[key]
        self.live -= size
