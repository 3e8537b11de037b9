"""One training for a benchmark, which gives it a process: python tools/benchmarks/train_variant.py CONFIG FOLDER KEY=VALUE …

Trains and tests, and writes FOLDER/result.json when both are done.
"""

import argparse
import json
import shutil
import time
from pathlib import Path

from linearsr.core.command_line import run_command

RESULT = "result.json"


def main() -> None:
    parser = argparse.ArgumentParser(description="Train and test one config and note its figures.")
    parser.add_argument(
        "--stage", type=Path, metavar="FOLDER", help="a finished one of the same config: copied, not trained again"
    )
    parser.add_argument("config", type=Path, help="a Python config file")
    parser.add_argument("folder", type=Path, help="of the run; must not exist")
    parser.add_argument("options", nargs="*", metavar="KEY=VALUE", help="override keys of the config")
    arguments = parser.parse_args()

    from linearsr.core.atomic import write_text
    from linearsr.core.config import config_hash, load_config
    from linearsr.core.engine import run_testing, run_training
    from linearsr.core.engine.checkpoints import CURRICULUM_CONFIG

    cfg = load_config(arguments.config, arguments.options)
    if arguments.stage:
        shutil.copytree(arguments.stage, arguments.folder / arguments.stage.name)
        write_text(arguments.folder / CURRICULUM_CONFIG, cfg.pretty_text)  # as a curriculum that was interrupted has it
    start = time.process_time()
    run_training(arguments.config, arguments.folder, "newest" if arguments.stage else None, arguments.options)
    seconds = time.process_time() - start
    tested = run_testing(arguments.config, arguments.folder, arguments.folder / "test", arguments.options)
    result = {
        "config_sha256": config_hash(cfg),
        "cpu_seconds": seconds,
        "rows": json.loads((tested / "metrics.json").read_text())["rows"],
    }
    write_text(arguments.folder / RESULT, json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    run_command(main)
