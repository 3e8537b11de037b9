"""One expert, two, four by log-SNR, four uniform: python tools/benchmarks/experts.py --out docs/benchmarks/experts.json

For each seed one dense model, from which every config of configs/ablations/experts_*.py is trained on for as long, one thread
each; mixtures a second time at the times that a dense model sees, without shares of experts. What is finished is not run again;
a run that fails is noted and the others go on. The plot is written beside the JSON. Of an earlier JSON
`--markdown docs/benchmarks/experts.json --into docs/experts.md` makes the page's tables.
"""

import argparse
import json
import os
from pathlib import Path

from page_options import add_page_options, page_was_made
from run_options import add_run_options

from linearsr.core.command_line import run_command

CONFIGS = Path(__file__).parents[2] / "configs" / "ablations"
ARMS = ("experts_1", "experts_2", "experts_4_snr", "experts_4_uniform")
"""The first is what the others are compared with."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Train and test the experts' ablation over seeds.")
    parser.add_argument("--configs", nargs="+", type=Path, help="curricula that begin alike (configs/ablations/experts_*.py)")
    add_run_options(parser, steps="each stage", work_dir="work_dirs/experts")
    parser.add_argument("--out", help="a JSON file, and a plot of the same name; the tables alone are printed without it")
    add_page_options(parser)
    arguments = parser.parse_args()

    from experts_report import tables

    if page_was_made(arguments, tables):
        return

    os.environ["OMP_NUM_THREADS"] = "1"  # of the trainings, too
    import torch
    from experts_plot import draw
    from experts_runs import Plan, arms_of, run_all
    from training_pool import Budget

    from linearsr.core.atomic import write_text
    from linearsr.core.record import machine_record

    torch.set_num_threads(1)
    configs = arguments.configs or [CONFIGS / f"{name}.py" for name in ARMS]
    plan = Plan(arms_of(configs), Budget(arguments.steps, tuple(arguments.seeds)), arguments.work_dir)
    report = run_all(plan, arguments.jobs) | {"record": machine_record()}
    print(tables(report))
    if arguments.out:
        write_text(arguments.out, json.dumps(report, indent=1) + "\n")
        draw(report, Path(arguments.out).with_suffix(".png"))


if __name__ == "__main__":
    run_command(main)
