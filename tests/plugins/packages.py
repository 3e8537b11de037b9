"""Third-party packages as a user would find them installed, written by the tests. None imports linearsr."""

from pathlib import Path

ATTENTION = '''
import torch
from torch import nn


class {name}(nn.Module):
    """Mean pooling: every token gets the same mixture."""

    linear = True
    permutation_equivariant = True
    additive = False

    def __init__(self, dim, num_heads, rank=8):
        super().__init__()
        self.down, self.up = nn.Linear(dim, rank), nn.Linear(rank, dim)

    def forward(self, x, grid):
        return self.up(torch.relu(self.down(x))) + x.mean(1, keepdim=True)
'''


def install(site: Path, distribution: str, module: str, source: str, entry_points: dict[str, str], group: str) -> Path:
    """Lays down `<site>/<module>.py` with its dist-info, as `pip install --target` does. Returns site."""
    site.mkdir(parents=True, exist_ok=True)
    (site / f"{module}.py").write_text(source)
    info = site / f"{distribution}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\nSummary: a test package\n")
    lines = "\n".join(f"{name} = {target}" for name, target in entry_points.items())
    (info / "entry_points.txt").write_text(f"[{group}]\n{lines}\n")
    (info / "RECORD").write_text("")
    return site
