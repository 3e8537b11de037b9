"""What is in these pictures? python tools/tag.py photos --out tags.jsonl

Edit tags.jsonl as you like; with --read tags.jsonl it is shown again, if it is still of these pictures.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from linearsr.core.command_line import run_command

if TYPE_CHECKING:
    from rich.table import Table

    from linearsr.core.structures import Tag

DEFAULT = "EfficientNetLiteTagger"
SOME_FAILED = 3
"""All but pictures that cannot be read, which stderr names; as tools/test.py --pictures."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Tags of pictures: printed, written to be edited, and read back.")
    parser.add_argument("pictures", nargs="+", help="[CONFIG.py] and files or folders; the config's guidance has a tagger")
    parser.add_argument("--tagger", metavar="NAME", help=f"instead of a config ({DEFAULT})")
    parser.add_argument("--options", nargs="+", default=[], metavar="KEY=VALUE", help="of that tagger, as in a config")
    parser.add_argument("--read", metavar="TABLE", help="no tagger: what this table says of these pictures, if it is of them")
    parser.add_argument("--out", metavar="TABLE", help="write the tags there, a JSON object a line")
    parser.add_argument("--sidecars", action="store_true", help="write a .txt with the tags beside each picture")
    parser.add_argument("--overwrite", action="store_true", help="write over tables and .txt that are there, edited or not")
    arguments = parser.parse_args()

    from rich.console import Console  # after the arguments: --help needs no torch

    from linearsr.core.data.file_checks import with_progress
    from linearsr.core.data.images import read_image
    from linearsr.core.errors import UnreadableError
    from linearsr.core.registries import TAGGERS
    from linearsr.guidance.taggers.tag_files import sidecar, write_tag_file
    from linearsr.guidance.taggers.tag_table import TagRecord, read_tag_table, write_tag_table

    described, places = _described(arguments)
    pictures = _named(places)
    if not arguments.overwrite:
        _refuse_to_replace(arguments.out, [sidecar(path) for path in pictures.values()] if arguments.sidecars else [])
    failed = False
    if arguments.read:
        table = read_tag_table(arguments.read)
        found = {name: table.tags_of(name, path) for name, path in pictures.items()}
    else:
        tagger = TAGGERS.build(described)
        shown = with_progress(pictures.items(), len(pictures), "looking at the pictures")
        found = {}
        for name, path in shown:
            try:
                found[name] = tuple(tagger(read_image(path)[None])[0])
            except UnreadableError as error:
                print(f"error: {error}", file=sys.stderr)
                failed = True
    Console(highlight=False).print(_table(found))
    if arguments.out:
        write_tag_table(arguments.out, [TagRecord.of_file(name, tags, pictures[name]) for name, tags in found.items()])
    if arguments.sidecars:
        for name, tags in found.items():
            write_tag_file(sidecar(pictures[name]), tags)
    if failed:
        sys.exit(SOME_FAILED)


def _refuse_to_replace(table: str | None, sidecars: list[Path]) -> None:
    """Before any work. Raises ConfigError: what is there may have been edited."""
    from linearsr.core.errors import ConfigError

    there = [path for path in [*([Path(table)] if table else []), *sidecars] if path.exists()]
    if there:
        raise ConfigError(
            f"{there[0]} ({len(there)} in all) is there already, and may have been edited; --overwrite replaces it"
        )


def _described(arguments: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    """The tagger's dict, and what is left of the pictures. Raises ConfigError."""
    from linearsr.core.config import load_config, parse_options
    from linearsr.core.errors import ConfigError

    first, *rest = arguments.pictures
    options = parse_options(arguments.options, "--options")
    if not first.endswith(".py"):
        return {"type": arguments.tagger or DEFAULT, **options}, arguments.pictures
    if arguments.tagger:
        raise ConfigError(f"{first} names a tagger, and so does --tagger {arguments.tagger}; leave one out")
    tagger = ((load_config(first).to_dict().get("model") or {}).get("guidance") or {}).get("tagger")
    if tagger is None:
        raise ConfigError(f"{first} has no model.guidance.tagger; wanted a config with one, or --tagger NAME")
    return {**tagger, **options}, rest


def _named(places: list[str]) -> dict[str, Path]:
    """Pictures by name: the path below the folder without the format, as data sets name them. Raises DataError."""
    from linearsr.core.data.images import list_images
    from linearsr.core.errors import DataError

    found: dict[str, Path] = {}
    for place in map(Path, places):
        folder = place if place.is_dir() else place.parent
        for path in list_images(place, recursive=True) if place.is_dir() else [place]:
            name = str(path.relative_to(folder).with_suffix(""))
            if name in found:
                raise DataError(f"{found[name]} and {path} would both be {name}; tag them apart, or rename one")
            found[name] = path
    if not found:
        raise DataError("no pictures were named; add files or folders behind the config")
    return found


def _table(found: dict[str, tuple["Tag", ...]]) -> "Table":
    from rich.markup import escape
    from rich.table import Table

    table = Table("picture", "tags")
    for name, tags in found.items():
        table.add_row(escape(name), escape(", ".join(f"{tag.name} {tag.score:.2f}" for tag in tags)) or "[dim]none[/]")
    return table


if __name__ == "__main__":
    run_command(main)
