"""What every benchmark with a page in docs/ offers: tables of an earlier result. Imports no torch, so that --help is quick."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any


def add_page_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--markdown", metavar="JSON", help="measure nothing: print the tables of an earlier result")
    parser.add_argument("--into", metavar="PAGE", help="with --markdown: put them between the page's marks")


def page_was_made(arguments: argparse.Namespace, tables: Callable[[dict[str, Any]], str]) -> bool:
    """Whether --markdown asked for a page's tables and nothing else; then they are printed, or put into the page."""
    from measuring import fill_page

    if not arguments.markdown:
        return False
    text = tables(json.loads(Path(arguments.markdown).read_text()))
    if arguments.into:
        fill_page(arguments.into, text)
    else:
        print(text)
    return True
