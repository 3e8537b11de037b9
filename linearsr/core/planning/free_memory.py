"""How much memory a device could still give."""

from __future__ import annotations

import os
from pathlib import Path

import torch

MEMINFO = Path("/proc/meminfo")
GROUPS = Path("/sys/fs/cgroup")


def free_bytes(device: torch.device) -> float:
    """CUDA: what the driver has free and torch holds without using it. CPU: what Linux says that a process can get without
    swapping, no more than a container's limit leaves (cgroup 2); elsewhere all of the machine's memory."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused
    return min(_available(MEMINFO), _left_in_group(GROUPS))


def _available(meminfo: Path) -> int:
    if meminfo.is_file():
        for line in meminfo.read_text().splitlines():
            name, _, value = line.partition(":")
            if name == "MemAvailable":
                return int(value.split()[0]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _left_in_group(folder: Path) -> float:
    """As a container sees its own group."""
    limit, used = folder / "memory.max", folder / "memory.current"
    if not (limit.is_file() and used.is_file()) or limit.read_text().strip() == "max":
        return float("inf")
    return int(limit.read_text()) - int(used.read_text())
