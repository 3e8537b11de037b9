"""Pass a trained model on: python tools/export.py work_dirs/quickstart_x4 exported/quickstart_x4"""

import argparse

from linearsr.core.command_line import run_command


def main() -> None:
    parser = argparse.ArgumentParser(description="Write a checkpoint's weights, its config and a model card into a folder.")
    parser.add_argument("source", help="a checkpoint of a run, or a run's folder for its newest")
    parser.add_argument("out", help="the folder to write: model.safetensors, config.py and README.md")
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--ema", dest="weights", action="store_const", const="ema", help="averaged weights; the default where there are any"
    )
    which.add_argument("--raw", dest="weights", action="store_const", const="raw", help="the weights that the optimiser moves")
    parser.add_argument("--force", action="store_true", help="replace an earlier export of this name")
    arguments = parser.parse_args()

    from linearsr.core.engine.export import run_export  # after the arguments: --help needs no torch

    folder = run_export(arguments.source, arguments.out, arguments.weights, arguments.force)
    print(f"exported to {folder}; README.md there says how to use it, and leaves the license to you")


if __name__ == "__main__":
    run_command(main)
