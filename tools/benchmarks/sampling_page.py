"""The page of the sampling benchmark before there are figures. Imports no torch, so that --help is quick."""

from pathlib import Path

from linearsr.core.atomic import write_text

PENDING = "<!-- not run -->"
MADE = "<!-- made by python tools/benchmarks/sampling.py --markdown {} -->"
"""From then on tests hold the page to its JSON."""


def open_page(page: str, figures: str) -> None:
    """The mark of a page without figures becomes the one that tables are put below; figures: the JSON's path."""
    text = Path(page).read_text()
    if PENDING in text:
        write_text(page, text.replace(PENDING, MADE.format(figures), 1))
