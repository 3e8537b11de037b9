"""The state of every generator of a process. Ours are seeded per draw; these are for parts that draw from the global ones."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.dist import all_gather_object, get_rank, get_world_size

from linearsr.core.randomness import mix_seed


def gather_random_state() -> list[dict[str, Any]]:
    """One entry for each rank, in plain types and tensors. Every rank must call it."""
    states: list[dict[str, Any]] = all_gather_object(_random_state()) if get_world_size() > 1 else [_random_state()]
    return states


def restore_random_state(states: Sequence[Mapping[str, Any]], iteration: int) -> None:
    """This rank's own state; a rank that the checkpoint's run did not have gets a seed of its own."""
    rank = get_rank()
    if rank >= len(states):
        seed = mix_seed(torch.initial_seed() & (2**63 - 1), iteration, rank)
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002  (the global generator is what third parties use)
        torch.manual_seed(seed)
        return
    state = states[rank]
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
    name, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, cached))  # noqa: NPY002
    torch.set_rng_state(state["torch"])
    if torch.cuda.is_available() and state["cuda"] is not None:
        torch.cuda.set_rng_state(state["cuda"])


def _random_state() -> dict[str, Any]:
    version, numbers, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state()  # noqa: NPY002
    return {
        "python": (version, list(numbers), gauss),
        "numpy": (name, torch.from_numpy(np.asarray(keys).astype(np.int64)), position, has_gauss, cached),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
    }
