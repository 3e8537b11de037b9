"""What data workers do on their own behalf."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from mmengine.dataset import worker_init_fn
from mmengine.dist import get_rank

from linearsr.core.allocator import keep_freed_memory
from linearsr.core.randomness import generator, mix_seed
from linearsr.core.registries import FUNCTIONS

PATIENCE = 600
"""Seconds that a batch may take (our choice). Workers without shared memory never send one, and nothing else would say so."""


def worker_settings(dataloader: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """What a dataloader gets besides its config.

    generator: torch draws its workers' seeds from it, and not from the global one, which a resumed run would find elsewhere.
    """
    own = dict(dataloader.get("worker_init_fn") or {})
    then = partial(FUNCTIONS.require(own.pop("type")), **own) if own else None
    start = {"type": start_worker, "num_workers": dataloader.get("num_workers", 0), "seed": seed, "then": then}
    number = dataloader.get("num_workers", 0)
    patience = {"timeout": dataloader.get("timeout", PATIENCE)} if number else {}
    return {"worker_init_fn": start, "generator": generator(mix_seed(seed, get_rank())), **patience}


def start_worker(worker_id: int, num_workers: int, seed: int, then: Callable[[int], None] | None) -> None:
    """mmengine's seeds; and the signals that stop a run are the main process' affair.

    A scheduler and a terminal send them to every process: without this the workers would be gone before the main process
    has finished its step. then: the config's own `worker_init_fn`.
    """
    keep_freed_memory()  # one that was not forked
    worker_init_fn(worker_id, num_workers=num_workers, rank=get_rank(), seed=seed)
    for number in (signal.SIGUSR1, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):  # not on macOS, where workers end at any SIGTERM
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_end_with_the_main_process, daemon=True).start()
    if then is not None:
        then(worker_id)


def _end_with_the_main_process() -> None:
    """SIGTERM counts when the main process sends it: that is how it ends workers that hang."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)
