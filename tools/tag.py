"""What is in these pictures? python tools/tag.py photos --out tags.jsonl

Edit tags.jsonl as you like; with --read tags.jsonl it is shown again, if it is still of these pictures.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from linearsr.core.command_line import add_options, output_console, run_command
from linearsr.core.errors import ConfigError

if TYPE_CHECKING:
    from rich.table import Table

    from linearsr.core.structures import Tag

DEFAULT = "EfficientNetLiteTagger"
SOME_FAILED = 3
"""All but pictures that cannot be read, which stderr names; as tools/test.py --pictures."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Tags of pictures: printed, written to be edited, and read back.")
    parser.add_argument("pictures", nargs="+", help="[CONFIG.py] and files, folders or .txt lists; the config has a tagger")
    parser.add_argument("--tagger", metavar="NAME", help=f"instead of a config ({DEFAULT})")
    add_options(parser, "--options", "of that tagger, as in a config")
    parser.add_argument("--read", metavar="TABLE", help="no tagger: what this table says of these pictures, if it is of them")
    parser.add_argument("--out", metavar="TABLE", help="write the tags there, a JSON object a line")
    parser.add_argument("--sidecars", action="store_true", help="write a .txt with the tags beside each picture")
    parser.add_argument("--overwrite", action="store_true", help="write over tables and .txt that are there, edited or not")
    arguments = parser.parse_args()

    # after the arguments: --help needs no torch
    from linearsr.core.data.tagging import Tagged, pictures_by_name, tag_pictures
    from linearsr.core.registries import TAGGERS
    from linearsr.core.tags import TagRecord, read_tag_table, sidecar, write_tag_file, write_tag_table

    config, places = _parted(arguments.pictures)
    described = _described(arguments, config)
    pictures = pictures_by_name(places)
    if not arguments.overwrite:
        _refuse_to_replace(arguments.out, [sidecar(path) for path in pictures.values()] if arguments.sidecars else [])
    if described is None:
        table = read_tag_table(arguments.read)
        found = Tagged({name: table.tags_of(name, path) for name, path in pictures.items()})
    else:
        found = tag_pictures(TAGGERS.build(described), pictures)
    for reason in found.unreadable:
        print(f"error: {reason}", file=sys.stderr)
    output_console(highlight=False).print(_table(found.tags))
    if arguments.out:
        write_tag_table(arguments.out, [TagRecord.of_file(name, tags, pictures[name]) for name, tags in found.tags.items()])
    if arguments.sidecars:
        for name, tags in found.tags.items():
            write_tag_file(sidecar(pictures[name]), tags)
    if found.unreadable:
        sys.exit(SOME_FAILED)


def _parted(words: list[str]) -> tuple[str | None, list[str]]:
    """The config, if the first word is one, and the pictures."""
    return (words[0], words[1:]) if words[0].endswith(".py") else (None, words)


def _described(arguments: argparse.Namespace, config: str | None) -> dict[str, Any] | None:
    """The tagger's dict; None with --read. Raises ConfigError for words that do not go together."""
    from linearsr.core.config import parse_options
    from linearsr.core.data.tagging import tagger_of

    if arguments.read:
        said = {"--tagger": arguments.tagger, "--options": arguments.options, config: config}
        if asked := [word for word, value in said.items() if value]:
            raise ConfigError(f"--read {arguments.read} asks no tagger; leave out {', '.join(map(str, asked))}")
        return None
    if config and arguments.tagger:
        raise ConfigError(f"{config} names a tagger, and so does --tagger {arguments.tagger}; leave one out")
    tagger = tagger_of(config) if config else {"type": arguments.tagger or DEFAULT}
    return tagger | parse_options(arguments.options, "--options")


def _refuse_to_replace(table: str | None, sidecars: list[Path]) -> None:
    """Before any work. Raises ConfigError: what is there may have been edited."""
    there = [path for path in [*([Path(table)] if table else []), *sidecars] if path.exists()]
    if there:
        raise ConfigError(
            f"{there[0]} ({len(there)} in all) is there already, and may have been edited; --overwrite replaces it"
        )


def _table(found: "dict[str, tuple[Tag, ...]]") -> "Table":
    from rich.markup import escape
    from rich.table import Table

    table = Table("picture", "tags")
    for name, tags in found.items():
        table.add_row(escape(name), escape(", ".join(f"{tag.name} {tag.score:.2f}" for tag in tags)) or "[dim]none[/]")
    return table


if __name__ == "__main__":
    run_command(main)
