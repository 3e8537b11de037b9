"""Test a checkpoint: python tools/test.py configs/quickstart_x4.py work_dirs/quickstart_x4/iter_1000.pth"""

import argparse
import json

from linearsr.core.command_line import run_command


def main() -> None:
    parser = argparse.ArgumentParser(description="Restore the test pictures of a config and measure them.")
    parser.add_argument("config", help="a Python config file")
    parser.add_argument(
        "checkpoint",
        help="weights of the config's model, a run's folder for its newest, none for the model as it is built, or, of a config "
        "with stages, <stage>@knee, @last or @best:<metric>",
    )
    parser.add_argument("--out", help="folder for metrics.json, sheet.png and restored/ (work_dirs/<config name>)")
    parser.add_argument(
        "--cfg-options", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="override keys: a.b=1 c=[1,2]"
    )
    parser.add_argument("--launcher", default="none", metavar="none|pytorch|slurm", help="what started several processes")
    arguments = parser.parse_args()

    from linearsr.core.engine import is_first_process, run_testing  # after the arguments: --help needs no torch
    from linearsr.core.evaluation import print_table

    checkpoint = None if arguments.checkpoint == "none" else arguments.checkpoint
    folder = run_testing(arguments.config, checkpoint, arguments.out, arguments.cfg_options, arguments.launcher)
    if is_first_process(arguments.launcher):
        print_table(json.loads((folder / "metrics.json").read_text())["rows"])
        print(f"pictures, metrics.json and sheet.png are in {folder}")


if __name__ == "__main__":
    run_command(main)
