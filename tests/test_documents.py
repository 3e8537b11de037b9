"""The Python of the README, CONTRIBUTING and the docs runs as it stands, page by page, from top to bottom."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from linearsr.attention.conformance import check_attention
from linearsr.core.registries import ALL

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
NOT_ALONE = re.compile(r"work_dirs|_base_ = |photo\.jpg|_dataloader = |visualizer = |MyMetric|evaluator = |from my_pkg")
"""Pieces of a config, a file of the reader's or a run. Their parts: test_config, test_training, test_images."""


def blocks(page: Path) -> list[str]:
    found = re.findall(r"^```python\n(.*?)^```", page.read_text(), re.M | re.S)
    return [block for block in found if not NOT_ALONE.search(block)]


@pytest.fixture
def registries_restored() -> Iterator[None]:
    """What a page registers is forgotten, so that contract tests see our own components only."""
    before = {registry: registry.own() for registry in ALL}
    yield
    for registry, own in before.items():
        registry._module_dict.clear()
        registry._module_dict.update(own)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_python_of_a_page_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registries_restored: None
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    namespace = {"__name__": "page"}
    for number, block in enumerate(blocks(page)):
        exec(compile(block, f"<{page.name}, block {number}>", "exec"), namespace)


def test_the_attention_of_the_readme_conforms(registries_restored: None) -> None:
    namespace: dict = {}
    exec(next(block for block in blocks(ROOT / "README.md") if "class PooledAttention" in block), namespace)
    check_attention(namespace["PooledAttention"]).require()


def test_every_page_with_python_is_run() -> None:
    untested = [page.name for page in PAGES if "```python" in page.read_text() and not blocks(page)]
    assert set(untested) <= {"runners.md", "training.md"}  # pieces of configs; test_training_page.py runs the latter


def test_no_page_holds_a_placeholder() -> None:
    waiting = [page.name for page in PAGES if re.search(r"^(TABLE|TODO|TBD)\b", page.read_text(), re.M)]
    assert not waiting
