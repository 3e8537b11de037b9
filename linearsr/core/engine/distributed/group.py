"""The process group of a run: made before anything else, ended however the run ends."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from mmengine.device import get_device
from torch.distributed.rendezvous import rendezvous

from linearsr.core.engine.distributed.launch import Place, place
from linearsr.core.errors import ConfigError, LinearSRError, RankError, StoppedBySignal

LOST = ("gloo/", "Connection closed by peer", "Connection reset by peer", "Broken pipe", "NCCL")
"""In what torch says when the other end of a connection is gone; gloo's errors have no class of their own."""


@contextmanager
def process_group(launcher: str, cfg: Mapping[str, Any]) -> Iterator[None]:
    """`with process_group("pytorch", cfg): …`; launcher "none" leaves everything as it is.

    cfg: its env_cfg.dist_cfg may hold `backend` ("gloo" or "nccl"; by default nccl with CUDA, else gloo) and `timeout` in
    seconds, after which a rank that waits for another gives up (torch's own: 30 minutes for gloo, 10 for nccl).

    An error ends the group: the others' next exchange fails too, as a RankError. Of all ranks' errors the first is for
    printing; the others have `told` set. Raises ConfigError for a launcher, an environment or settings that do not fit.
    """
    if cfg.get("launcher") not in (None, "none"):
        raise ConfigError(f"launcher={cfg['launcher']!r} in the config; how a run is started is no part of it: use --launcher")
    if launcher == "none":
        _refuse_strangers()
        yield
        return
    own = place(launcher, os.environ)
    device = get_device()
    backend, timeout = _settings((cfg.get("env_cfg") or {}).get("dist_cfg") or {}, device)
    if device == "cuda":
        _take_device(own)
    _share_cores()
    notes = _join(own, backend, timeout)
    try:
        yield
        dist.barrier()  # the slower rank must not find the others, and the store of rank 0, gone while it ends
    except Exception as error:
        found = RankError(_obituary(error)) if _is_lost(error) else error
        first = _is_first(notes)
        if isinstance(found, LinearSRError | RankError | StoppedBySignal):
            found.told = not first
        if found is not error:
            raise found from error
        raise
    finally:
        with suppress(RuntimeError):  # of a group whose other members are gone
            dist.destroy_process_group()


def is_first_process(launcher: str) -> bool:
    """Whether this is rank 0, also when the group has ended: the one that speaks."""
    return launcher == "none" or os.environ["RANK"] == "0"


def _join(own: Place, backend: str, timeout: timedelta | None) -> dist.Store:
    """Returns a store that all ranks share."""
    os.environ.update(own.variables())
    waiting: dict[str, Any] = {} if timeout is None else {"timeout": timeout}
    try:
        store, rank, world_size = next(iter(rendezvous("env://", **waiting)))
        dist.init_process_group(backend, store=dist.PrefixStore("group", store), rank=rank, world_size=world_size, **waiting)
    except RuntimeError as error:  # torch's DistError among them
        raise ConfigError(
            f"rank {own.rank} of {own.world_size} does not find the others at {own.address}:{own.port} "
            f"({_first_words(error)}); is that host up, the port free (set MASTER_PORT) and every rank started?"
        ) from error
    return dist.PrefixStore("linearsr", store)


def _settings(given: Mapping[str, Any], device: str) -> tuple[str, timedelta | None]:
    unknown = [key for key in given if key not in ("backend", "timeout")]
    if unknown:
        raise ConfigError(f"env_cfg.dist_cfg has no key {unknown[0]!r}; its keys: backend, timeout")
    backend = given.get("backend") or ("nccl" if device == "cuda" else "gloo")
    possible = ["gloo", "nccl"] if device == "cuda" and dist.is_nccl_available() else ["gloo"]
    if backend not in possible:
        raise ConfigError(
            f"env_cfg.dist_cfg.backend is {backend!r}; here, on {device}, wanted {' or '.join(possible)}, or no such key"
        )
    timeout = given.get("timeout")
    if timeout is not None and not (isinstance(timeout, int | float) and timeout > 0):
        raise ConfigError(f"env_cfg.dist_cfg.timeout is {timeout!r}; wanted seconds > 0")
    return backend, None if timeout is None else timedelta(seconds=timeout)


def _take_device(own: Place) -> None:
    """Each process of a machine has a device of its own."""
    count = torch.cuda.device_count()
    # Slurm with --gpus-per-task shows each task its own device only
    local = 0 if count == 1 and "SLURM_GPUS_PER_TASK" in os.environ else own.local_rank
    if local >= count:
        raise ConfigError(
            f"rank {own.rank} is process {own.local_rank} of its machine, which has {count} GPUs; "
            f"start {count} processes per machine (--nproc-per-node or --ntasks-per-node)"
        )
    torch.cuda.set_device(local)


def _share_cores() -> None:
    """What torchrun does: without a word from the user a process of many has the cores that Slurm gave it, or one."""
    if "OMP_NUM_THREADS" not in os.environ:
        os.environ["OMP_NUM_THREADS"] = os.environ.get("SLURM_CPUS_PER_TASK", "1")
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    os.environ.setdefault("MKL_NUM_THREADS", os.environ["OMP_NUM_THREADS"])


def _refuse_strangers() -> None:
    """Several processes that do not know of each other would write into one folder."""
    if "TORCHELASTIC_RUN_ID" in os.environ and os.environ.get("WORLD_SIZE", "1") != "1":
        raise ConfigError(f"torchrun started {os.environ['WORLD_SIZE']} processes of --launcher none; add --launcher pytorch")
    if int(os.environ.get("SLURM_STEP_NUM_TASKS", "1")) > 1:  # of srun; SLURM_NTASKS is set inside sbatch too
        tasks = os.environ["SLURM_STEP_NUM_TASKS"]
        raise ConfigError(f"srun started {tasks} tasks of --launcher none; add --launcher slurm, or start one task")


def _is_lost(error: Exception) -> bool:
    if isinstance(error, LinearSRError | RankError) or not isinstance(error, RuntimeError):
        return False
    return isinstance(error, dist.DistError) or any(sign in str(error) for sign in LOST)


def _obituary(error: Exception) -> str:
    return (
        f"another rank died, or the way to it is cut; rank {dist.get_rank()} ends too ({_first_words(error)}). If nothing else "
        "says why, that process was killed: look for its signal or for lack of memory; then go on with --resume"
    )


def _is_first(notes: dist.Store) -> bool:
    """Whether no other rank has failed before."""
    try:
        return notes.add("failures", 1) == 1
    except RuntimeError:  # the store was rank 0's, which is gone
        return True


def _first_words(error: BaseException) -> str:
    """The first sentence: torch goes on with a trace or advice."""
    return str(error).strip().partition("\n")[0].partition(". ")[0]
