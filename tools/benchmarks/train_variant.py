"""One variant for variants.py, which gives it a process: python tools/benchmarks/train_variant.py CONFIG FOLDER KEY=VALUE …

Trains and tests, and writes FOLDER/variant.json when both are done.
"""

import argparse
import json
import time
from pathlib import Path

from linearsr.core.command_line import run_command

RESULT = "variant.json"


def main() -> None:
    parser = argparse.ArgumentParser(description="Train and test one config and note its figures.")
    parser.add_argument("config", type=Path, help="a Python config file")
    parser.add_argument("folder", type=Path, help="of the run; must not exist")
    parser.add_argument("options", nargs="*", metavar="KEY=VALUE", help="override keys of the config")
    arguments = parser.parse_args()

    from linearsr.core.atomic import write_text
    from linearsr.core.config import config_hash, load_config
    from linearsr.core.engine import run_testing, run_training

    start = time.process_time()
    run_training(arguments.config, arguments.folder, options=arguments.options)
    seconds = time.process_time() - start
    tested = run_testing(arguments.config, arguments.folder, arguments.folder / "test", arguments.options)
    rows = json.loads((tested / "metrics.json").read_text())["rows"]
    result = {
        "config_sha256": config_hash(load_config(arguments.config, arguments.options)),
        "cpu_seconds": seconds,
        "psnr_y": {row["dataset"]: row["psnr_y"] for row in rows if row["method"] == "model"},
        "bicubic": {row["dataset"]: row["psnr_y"] for row in rows if row["method"] == "bicubic"},
    }
    write_text(arguments.folder / RESULT, json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    run_command(main)
