"""Test a checkpoint, or restore pictures with it:

python tools/test.py configs/quickstart_x4.py work_dirs/quickstart_x4
python tools/test.py configs/quickstart_x4.py work_dirs/quickstart_x4 --pictures photos --out restored
"""

import argparse
import json
import sys

from linearsr.core.command_line import add_options, run_command
from linearsr.core.errors import ConfigError

SOME_FAILED = 3
"""Of --pictures: all that could be restored is; the manifest names the others. 2 is for a run that could not begin or go on."""


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
        "--pictures", nargs="+", metavar="PLACE", help="LR pictures to restore into --out, no test: folders, files, .txt lists"
    )
    parser.add_argument("--num-steps", type=int, help="with --pictures: steps of sampling (the most of test_cfg.num_steps)")
    parser.add_argument("--batch-size", type=int, help="with --pictures: of one size (that of test_dataloader, else 1)")
    parser.add_argument("--overwrite", action="store_true", help="with --pictures: make again what other settings made")
    add_options(parser)
    parser.add_argument("--launcher", default="none", metavar="none|pytorch|slurm", help="what started several processes")
    arguments = parser.parse_args()

    if arguments.pictures is not None:
        restore(arguments)
    elif arguments.num_steps is not None or arguments.batch_size is not None or arguments.overwrite:
        raise ConfigError("--num-steps, --batch-size and --overwrite go with --pictures; a test's are in the config")
    else:
        test(arguments)


def test(arguments: argparse.Namespace) -> None:
    from linearsr.core.engine import is_first_process, run_testing  # after the arguments: --help needs no torch
    from linearsr.core.evaluation import print_table

    folder = run_testing(arguments.config, _checkpoint(arguments), arguments.out, arguments.cfg_options, arguments.launcher)
    if is_first_process(arguments.launcher):
        print_table(json.loads((folder / "metrics.json").read_text())["rows"])
        print(f"pictures, metrics.json and sheet.png are in {folder}")


def restore(arguments: argparse.Namespace) -> None:
    from linearsr.core.engine import is_first_process, run_restoring

    if arguments.out is None:
        raise ConfigError("--pictures needs --out, the folder for the restored pictures")
    done = run_restoring(
        arguments.config,
        _checkpoint(arguments),
        arguments.pictures,
        arguments.out,
        num_steps=arguments.num_steps,
        batch_size=arguments.batch_size,
        overwrite=arguments.overwrite,
        options=arguments.cfg_options,
        launcher=arguments.launcher,
    )
    if is_first_process(arguments.launcher):
        print(f"{done.restored} restored, {done.skipped} done before, {len(done.failed)} failed: see {done.manifest}")
    if done.failed:
        sys.exit(SOME_FAILED)


def _checkpoint(arguments: argparse.Namespace) -> str | None:
    return None if arguments.checkpoint == "none" else arguments.checkpoint


if __name__ == "__main__":
    run_command(main)
