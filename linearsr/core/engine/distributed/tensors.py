"""Tensors that lie in pieces on the ranks, and whole ones."""

from __future__ import annotations

from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor


def whole(tensor: Tensor) -> Tensor:
    """The same values in one plain tensor on this rank. Where it lies in pieces every rank must call it, in one order."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def in_pieces_like(tensor: Tensor, example: Tensor) -> Tensor:
    """This rank's piece of a whole tensor that every rank holds, laid out as `example` is; nothing is sent."""
    if not isinstance(example, DTensor) or isinstance(tensor, DTensor):
        return tensor
    own = tensor.to(example.device)
    return distribute_tensor(own, example.device_mesh, example.placements, src_data_rank=None)
