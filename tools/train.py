"""Train what a config describes: python tools/train.py configs/quickstart_x4.py"""

import argparse

from linearsr.core.command_line import add_options, run_command


def main() -> None:
    parser = argparse.ArgumentParser(description="Train what a config describes.")
    parser.add_argument("config", help="a Python config file")
    parser.add_argument("--work-dir", help="the run's folder (work_dirs/<config name>)")
    parser.add_argument("--resume", nargs="?", const="newest", help="go on from this checkpoint, or from the folder's newest")
    add_options(parser)
    parser.add_argument("--launcher", default="none", metavar="none|pytorch|slurm", help="what started several processes")
    arguments = parser.parse_args()

    from linearsr.core.engine import is_first_process, run_training  # after the arguments: --help needs no torch

    chosen = (arguments.config, arguments.work_dir, arguments.resume, arguments.cfg_options)
    folder = run_training(*chosen, launcher=arguments.launcher)
    if is_first_process(arguments.launcher):
        print(f"trained; checkpoints and logs are in {folder}")


if __name__ == "__main__":
    run_command(main)
