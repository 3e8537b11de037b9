"""Every attention trained alike, and what each costs: python tools/benchmarks/variants.py --out docs/benchmarks/variants.json

One config, the same steps and seed, one thread; only the attention differs. A variant that is finished is not run again; one
that fails is noted and the others go on. Of an earlier JSON `--markdown docs/benchmarks/variants.json --into docs/variants.md`
makes the page's table.
"""

import argparse
import json
import os
from pathlib import Path

from page_options import add_page_options, page_was_made

from linearsr.core.command_line import run_command

CONFIGS = Path(__file__).parents[2] / "configs"


def main() -> None:
    parser = argparse.ArgumentParser(description="Train and measure every registered attention in one config.")
    parser.add_argument("--config", default=CONFIGS / "quickstart_x4.py", type=Path, help="what is trained (%(default)s)")
    parser.add_argument("--steps", type=int, default=750, help="iterations of each (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of weights and data (%(default)s)")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these attentions, or configs of a mixture by their path")
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time, one thread each (%(default)s)")
    parser.add_argument("--sides", type=int, nargs="+", default=[32, 64, 128], help="of the tokens' squares (%(default)s)")
    parser.add_argument("--work-dir", default=Path("work_dirs/variants"), type=Path, help="one folder each (%(default)s)")
    parser.add_argument("--out", help="a JSON file; the table alone is printed without it")
    add_page_options(parser)
    arguments = parser.parse_args()

    from variant_report import tables

    if page_was_made(arguments, tables):
        return

    os.environ["OMP_NUM_THREADS"] = "1"  # of the trainings, too
    import torch
    from variant_runs import Budget, run_all, variants

    from linearsr.core.atomic import write_text
    from linearsr.core.record import machine_record

    torch.set_num_threads(1)
    chosen = variants(arguments.config, arguments.only, CONFIGS / "ablations")
    budget = Budget(arguments.steps, arguments.seed, tuple(arguments.sides))
    report = run_all(chosen, budget, arguments.work_dir, arguments.jobs) | {"record": machine_record()}
    print(tables(report))
    if arguments.out:
        write_text(arguments.out, json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    run_command(main)
