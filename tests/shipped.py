"""What the repository ships besides code."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
CONFIGS = sorted(path for path in (ROOT / "configs").rglob("*.py") if path.parent.name != "_base_")
"""Every config that can be run, without the pieces of them."""
