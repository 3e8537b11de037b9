"""Pages of figures: what a command fills in, and that they show what their JSON says."""

import importlib
import re
from pathlib import Path
from types import ModuleType

import pytest

from linearsr.core.errors import DataError
from tests.tools.conftest import ROOT, Run


@pytest.fixture(scope="module")
def measuring(script_folder: None) -> ModuleType:
    return importlib.import_module("measuring")


def test_a_page_is_filled_between_its_marks_again_and_again(measuring: ModuleType, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Title\n\n<!-- made by a command -->\nold\n<!-- end -->\n\nafter\n")
    for text in ("| a |", "| b |", "| b |"):
        measuring.fill_page(page, text)
        assert page.read_text() == f"# Title\n\n<!-- made by a command -->\n\n{text}\n\n<!-- end -->\n\nafter\n"
    page.write_text("# Title\n")
    with pytest.raises(DataError, match="has no place for the tables"):
        measuring.fill_page(page, "text")
    assert page.read_text() == "# Title\n"


def generated() -> list[tuple[Path, list[str]]]:
    """(page, words of the command) for every page with a part that a command makes"""
    pages = sorted((ROOT / "docs").rglob("*.md"))
    found = [
        (page, re.search(r"<!-- made by python tools/(benchmarks/\S+ --markdown \S+)", page.read_text())) for page in pages
    ]
    return [(page, match[1].split()) for page, match in found if match]


def test_the_pages_of_figures_are_among_those_that_a_command_makes() -> None:
    assert {page.name for page, _ in generated()} >= {"attention.md", "backbone.md", "variants.md"}


@pytest.mark.parametrize(("page", "words"), generated(), ids=[page.name for page, _ in generated()])
def test_a_page_shows_what_its_json_says(run: Run, page: Path, words: list[str]) -> None:
    source = ROOT / words[-1]
    assert source.is_file(), f"{page.name} has no figures: make {words[-1]} with the commands on the page"
    between = page.read_text().partition("<!-- made by")[2].partition("-->")[2].partition("<!-- end -->")[0].strip()
    assert between == run(*words[:-1], source).stdout.strip()
