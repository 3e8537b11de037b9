"""Every component that a config can name: python tools/list_components.py, or of one kind: … list_components.py attention"""

import argparse
import inspect
from typing import TYPE_CHECKING

from linearsr.core.command_line import output_console, run_command

if TYPE_CHECKING:
    from rich.table import Table

    from linearsr.core.registry import Registry


def main() -> None:
    parser = argparse.ArgumentParser(description="List what a config can name: name, summary and distribution, kind by kind.")
    parser.add_argument("kind", nargs="?", metavar="KIND", help="attention, solver, dataset, …: of that kind alone")
    arguments = parser.parse_args()

    from linearsr.core.errors import ConfigError, nearest  # after the arguments: --help needs no torch
    from linearsr.core.plugin_check import kind_of
    from linearsr.core.registries import ALL

    kinds = {kind_of(registry): registry for registry in ALL}
    if arguments.kind is not None and arguments.kind not in kinds:
        hint = nearest(arguments.kind, kinds) or "."
        raise ConfigError(f"no kind is called {arguments.kind!r}{hint} Kinds: {', '.join(kinds)}")
    console = output_console()
    for registry in [kinds[arguments.kind]] if arguments.kind else kinds.values():
        console.print(_table(registry))


def _table(registry: "Registry") -> "Table":
    from rich.markup import escape
    from rich.table import Table

    from linearsr.core.plugins import claims, distribution, summary

    table = Table(
        title=f"{registry.name}  (config key {', '.join(registry.keys)}; entry points {registry.group})", title_justify="left"
    )
    for column in ("name", "summary", "distribution"):
        table.add_column(column)
    for name, component in registry.own().items():
        table.add_row(name, escape((inspect.getdoc(component) or "").partition("\n")[0]), "linearsr")
    for name, points in claims(registry.group).items():
        for point in points:
            table.add_row(name, escape(summary(point)), distribution(point))
    if registry.parent:
        theirs = len(registry.parent.module_dict)
        table.add_row("…", f"and {theirs} of mmengine's: {registry.parent.name} in its documentation", "mmengine")
    return table


if __name__ == "__main__":
    run_command(main)
