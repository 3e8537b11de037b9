"""Randomness as an argument: every picture and every training draw has a seed, and a generator of its own.

So the noise that a picture gets does not depend on batch size, order, number of workers or ranks, and a resumed run
draws what the uninterrupted run would have drawn.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def mix_seed(*numbers: int) -> int:
    """A 63-bit seed from whole numbers; any change of any number changes all of it (BLAKE2b, our choice)."""
    digest = hashlib.blake2b(b"".join(int(n).to_bytes(16, "little", signed=True) for n in numbers), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def seed_of_picture(image_01: Tensor) -> int:
    """From what is in the picture, at 8 bits: the same file gets the same noise wherever and whenever it is restored."""
    levels = (image_01.detach().float().cpu().clamp(0, 1) * 255).round().byte().contiguous().numpy()
    digest = hashlib.blake2b(levels.tobytes() + repr(levels.shape).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def generator(seed: int) -> torch.Generator:
    """A CPU generator; noise is drawn on the CPU, so that every device gets the same."""
    import torch

    return torch.Generator().manual_seed(seed)


def standard_normal(shape: Sequence[int], generators: Sequence[torch.Generator]) -> Tensor:
    """One picture's noise from each generator. shape: of one picture. Returns float32 [B, *shape] on the CPU."""
    import torch

    return torch.stack([torch.randn(tuple(shape), generator=g) for g in generators])


def numpy_generator(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)
