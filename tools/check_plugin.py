"""Does a component keep the laws of its kind? python tools/check_plugin.py my_pkg.attn:MyAttention --options rank=8"""

import argparse
import os
import sys

from linearsr.core.command_line import add_options, output_console, run_command


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Try a component against the laws of its kind. rc 0: it conforms, 1: it breaks some, 2: it cannot be tried."
    )
    parser.add_argument("component", help="module:Class, installed or in this folder, or a name that a config may hold")
    parser.add_argument(
        "--kind", default="attention", help="attention (default), router, guidance, path, solver, …; an unknown one lists all"
    )
    add_options(parser, "--options", "keys of its own, as in a config")
    parser.add_argument("--dim", type=int, help="width of a token")
    parser.add_argument("--num-heads", type=int, help="heads of an attention")
    parser.add_argument("--device", help="where an attention is tried: cpu (default), cuda")
    parser.add_argument(
        "--timing", action="store_true", default=None, help="also how an attention's time grows with its tokens"
    )
    parser.add_argument("--json", metavar="FILE", help="write the report there, too")
    arguments = parser.parse_args()

    # after the arguments: --help needs no torch
    from linearsr.core.atomic import write_text
    from linearsr.core.config import parse_options
    from linearsr.core.errors import ConfigError
    from linearsr.core.plugin_check import check_component, settings_of

    sys.path.insert(0, os.getcwd())  # where a package is being written, before it is installed
    given = {key: getattr(arguments, key) for key in ("dim", "num_heads", "device", "timing")}
    settings = {key: value for key, value in given.items() if value is not None}
    known = settings_of(arguments.kind)
    for key in settings:
        if key not in known:
            raise ConfigError(f"--{key.replace('_', '-')} does not apply to --kind {arguments.kind}")
    report = check_component(arguments.component, arguments.kind, parse_options(arguments.options, "--options"), settings)
    if arguments.json:
        write_text(arguments.json, report.to_json() + "\n")
    output_console(highlight=False).print(report)
    sys.exit(0 if report.passed else 1)


if __name__ == "__main__":
    run_command(main)
