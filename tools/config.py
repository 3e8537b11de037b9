"""Look into configs: python tools/config.py explain model.denoiser.depth --config configs/quickstart_x4.py"""

import argparse
import sys

from linearsr.core.command_line import add_options, run_command

SOURCE = "a config file, a run's folder or a checkpoint"


def main() -> None:
    parser = argparse.ArgumentParser(description="Say what a key means, show a whole config, or what differs between two.")
    commands = parser.add_subparsers(dest="command", required=True)
    explain = commands.add_parser("explain", help="type, default and description of a key, a component or a kind of them")
    explain.add_argument("key", help="such as train_dataloader.batch_size, LinearDiT.depth, LinearDiT or denoiser")
    explain.add_argument("--config", metavar="SOURCE", help=f"{SOURCE}: which components are meant, and what is set where")
    show = commands.add_parser("show", help="the whole config, as it would be trained")
    show.add_argument("config", help=SOURCE)
    for command in (explain, show):
        add_options(command)
    diff = commands.add_parser("diff", help="key by key; rc 0 if they are equal, 1 if not")
    diff.add_argument("before", metavar="A", help=SOURCE)
    diff.add_argument("after", metavar="B", help=SOURCE)
    diff.add_argument("--json", action="store_true", help="a list of {key, change, before, after}")
    arguments = parser.parse_args()

    from linearsr.core.inspection import showing  # after the arguments: --help needs no torch

    if arguments.command == "explain":
        showing.run_explain(arguments.key, arguments.config, arguments.cfg_options)
    elif arguments.command == "show":
        showing.run_show(arguments.config, arguments.cfg_options)
    else:
        sys.exit(showing.run_diff(arguments.before, arguments.after, as_json=arguments.json))


if __name__ == "__main__":
    run_command(main)
