"""Every component that a config can name: python tools/list_components.py"""

import inspect

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from linearsr.core.command_line import run_command
from linearsr.core.plugins import claims, distribution, summary
from linearsr.core.registries import ALL


def main() -> None:
    console = Console()
    for registry in ALL:
        table = Table(
            title=f"{registry.name}  (config key {', '.join(registry.keys)}; entry points {registry.group})",
            title_justify="left",
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
        console.print(table)


if __name__ == "__main__":
    run_command(main)
