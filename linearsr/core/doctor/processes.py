"""What several processes of a run speak through."""

from __future__ import annotations

from typing import Any

from linearsr.core.doctor.finding import Finding, cause_of

LOOPBACK = "export GLOO_SOCKET_IFNAME=lo on one machine; on several, the name of the network interface between them"


def processes() -> list[Finding]:
    """gloo is tried with one process; nccl, which needs a device in each, is only looked for."""
    import torch
    from torch import distributed

    if not distributed.is_available():
        mend = "install a torch built with torch.distributed to train on several devices"
        return [Finding("torch.distributed", "absent", "not in this torch", mend)]
    return [gloo(distributed), nccl(distributed, torch.cuda.device_count())]


def gloo(distributed: Any) -> Finding:
    """distributed: the module torch.distributed."""
    if not distributed.is_gloo_available():
        return Finding("gloo", "absent", "not in this torch", "install a torch built with gloo to train on several CPUs")
    try:
        _speak_to_oneself(distributed)
    except Exception as error:  # a host name that does not resolve, a network that is closed
        return Finding("gloo", "warning", cause_of(error), LOOPBACK)
    return Finding("gloo", "ok", "a sum over one process")


def nccl(distributed: Any, devices: int) -> Finding:
    """devices: CUDA devices here."""
    if distributed.is_nccl_available():
        return Finding("nccl", "ok", f"in this torch; {devices} CUDA devices here")
    if devices > 1:
        mend = "pip install --force-reinstall torch  (for CUDA, on Linux)"
        return Finding("nccl", "warning", f"not in this torch, though there are {devices} CUDA devices", mend)
    return Finding("nccl", "absent", "not in this torch; several CUDA devices need it", "a torch built for CUDA has it")


def _speak_to_oneself(distributed: Any) -> None:
    import torch

    if distributed.is_initialized():
        return  # this process belongs to a run, which speaks already
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    try:
        number = torch.ones(1)
        distributed.all_reduce(number)
        if number.item() != 1:
            raise RuntimeError(f"the sum of 1 over one process is {number.item()}")
    finally:
        distributed.destroy_process_group()
