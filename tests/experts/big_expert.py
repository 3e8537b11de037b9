"""A program for test_disk_offload: samples with experts that are mostly weights, and prints how much memory that took.

Argument: a folder. For offload="disk", in that folder, and then for "host" it prints the largest increase of the process's own
memory (RssAnon, without mapped files) since before the mixture was made, in units of one expert.
"""

import re
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from linearsr.core.registries import DENOISERS
from linearsr.experts import ExpertMixture

EXPERTS, NUMBERS = 6, 4 * 2**20
"""Of float32: 16 MiB an expert, beside which what torch allocates for itself is little."""
seen: list[int] = []


def own_memory() -> int:
    """Bytes."""
    return 1024 * int(re.search(r"RssAnon:\s+(\d+)", Path("/proc/self/status").read_text())[1])


class BigExpert(nn.Module):
    def __init__(self, latent_channels: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(NUMBERS))
        seen.append(own_memory())

    def prepare(self, lr, guidance, times=None):
        return None

    def forward(self, z_t: Tensor, t: Tensor, lr, guidance, *, prepared=None) -> Tensor:
        seen.append(own_memory())  # where two experts are there, they are there now
        return z_t * self.weight[:1]


def growth(**options: str) -> float:
    before = own_memory()
    router = {"type": "UniformRouter", "num_experts": EXPERTS}
    mixture = ExpertMixture(router, {"type": f"{__name__}.BigExpert"}, 1, 1, 1, **options).eval()
    times = torch.linspace(1, 0, 13, dtype=torch.float64)
    prepared = mixture.prepare(None, None, times)
    with torch.no_grad():
        for t in times[:-1]:
            mixture(torch.ones(1, 1, 1, 1), t[None], prepared=prepared)
    highest = max(seen)
    seen.clear()
    return (highest - before) / (4 * NUMBERS)


if __name__ == "__main__":
    DENOISERS.import_from_location()
    print(growth(offload="disk", offload_folder=sys.argv[1]))
    print(growth(offload="host"))
