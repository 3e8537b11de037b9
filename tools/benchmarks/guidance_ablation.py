"""What words are worth: no guidance, tags, one word for all, other pictures' tags.

    python tools/benchmarks/guidance_ablation.py --out docs/benchmarks/guidance.json

Every arm has the same layers, steps, pictures and seeds; only the texts differ (configs/ablations/guidance_words.py), which are
written to WORK_DIR/words first. One thread for each training. What is finished is not run again; a run that fails is noted and
the others go on. Of an earlier JSON `--markdown docs/benchmarks/guidance.json --into docs/guidance.md` makes the page's tables.
"""

import argparse
import json
import os
from pathlib import Path

from page_options import add_page_options, page_was_made
from run_options import add_run_options

from linearsr.core.command_line import run_command

CONFIG = Path(__file__).parents[2] / "configs" / "ablations" / "guidance_words.py"


def main() -> None:
    parser = argparse.ArgumentParser(description="Train and test the guidance ablation over seeds.")
    parser.add_argument("--config", default=CONFIG, type=Path, help="whose pipelines begin with ReadSidecarText (%(default)s)")
    add_run_options(parser, steps="training", work_dir="work_dirs/guidance_ablation")
    parser.add_argument("--out", help="a JSON file; the tables alone are printed without it")
    add_page_options(parser)
    arguments = parser.parse_args()

    from guidance_report import tables

    if page_was_made(arguments, tables):
        return

    os.environ["OMP_NUM_THREADS"] = "1"  # of the trainings, too
    import torch
    from guidance_runs import Plan, run_all
    from training_pool import Budget

    from linearsr.core.atomic import write_text
    from linearsr.core.record import machine_record

    torch.set_num_threads(1)
    plan = Plan(arguments.config, Budget(arguments.steps, tuple(arguments.seeds)), arguments.work_dir)
    report = run_all(plan, arguments.jobs) | {"record": machine_record()}
    if arguments.out:
        write_text(arguments.out, json.dumps(report, indent=1) + "\n")
    print(tables(report))


if __name__ == "__main__":
    run_command(main)
