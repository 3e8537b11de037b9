"""One training for collapse.py, which gives it a process: python tools/benchmarks/train_collapse.py CONFIG FOLDER KEY=VALUE …

Writes FOLDER/collapse.json when the training has ended, or has met a number that is not finite, which is a result here.
"""

import argparse
import json
import time
from pathlib import Path

from linearsr.core.command_line import run_command

RESULT = "collapse.json"


def main() -> None:
    parser = argparse.ArgumentParser(description="Train one config until its end or its first number that is not finite.")
    parser.add_argument("config", type=Path, help="a Python config file that logs every iteration")
    parser.add_argument("folder", type=Path, help="of the run; must not exist")
    parser.add_argument("options", nargs="*", metavar="KEY=VALUE", help="override keys of the config")
    arguments = parser.parse_args()

    from linearsr.core.atomic import write_text
    from linearsr.core.config import config_hash, load_config
    from linearsr.core.engine import read_log, run_training
    from linearsr.core.engine.logging.json_lines_backend import NAME
    from linearsr.core.errors import DivergenceError

    start, cause = time.process_time(), None
    try:
        run_training(arguments.config, arguments.folder, options=arguments.options)
    except DivergenceError as error:
        cause = str(error)
    log = arguments.folder / NAME
    done = read_log(log, "train")[-1]["step"] if log.is_file() else 0
    result = {
        "config_sha256": config_hash(load_config(arguments.config, arguments.options)),
        "cpu_seconds": time.process_time() - start,
        "steps": done,
        "first_non_finite": None if cause is None else done + 1,
        "cause": cause,
    }
    write_text(arguments.folder / RESULT, json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    run_command(main)
