"""Does fine-tuning from a late checkpoint collapse? python tools/benchmarks/collapse.py --out docs/benchmarks/collapse.json

One long run with a constant learning rate and no decay; from its early, knee, best and last checkpoint short fine-tunings, with
the published sums in float32 and with float16's. A training that is finished is not run again; one that fails is noted and the
others go on. `--markdown docs/benchmarks/collapse.json --into docs/esgf.md` makes the page's tables of an earlier JSON.
"""

import argparse
import json
import os
from pathlib import Path

from collapse_plan import CONDITIONS, STARTS, Plan
from page_options import add_page_options, page_was_made

from linearsr.core.command_line import run_command

CONFIG = Path(__file__).parents[2] / "configs" / "quickstart_x4.py"


def main() -> None:
    parser = argparse.ArgumentParser(description="Fine-tunes from several checkpoints of one run until numbers are not finite.")
    parser.add_argument("--config", default=CONFIG, type=Path, help="what is trained (%(default)s)")
    parser.add_argument("--steps", type=int, default=3000, help="iterations of the long run (%(default)s)")
    parser.add_argument("--decay-steps", type=int, default=750, help="of a second one, with weight decay (%(default)s)")
    parser.add_argument("--every", type=int, default=50, help="iterations between their evaluations (%(default)s)")
    parser.add_argument("--tuning-steps", type=int, default=60, help="iterations of a fine-tuning (%(default)s)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="of the fine-tunings (%(default)s)")
    parser.add_argument("--conditions", nargs="+", choices=list(CONDITIONS), default=list(CONDITIONS), metavar="NAME")
    parser.add_argument("--starts", nargs="+", choices=STARTS, default=list(STARTS), help="(%(default)s)")
    parser.add_argument("--work-dir", default=Path("work_dirs/collapse"), type=Path, help="one folder each (%(default)s)")
    parser.add_argument("--out", type=Path, help="a JSON file, with a plot beside it; the tables alone are printed without it")
    add_page_options(parser)
    arguments = parser.parse_args()

    from collapse_report import tables  # after the arguments: --help needs no torch

    if page_was_made(arguments, tables):
        return

    os.environ["OMP_NUM_THREADS"] = "1"  # of the trainings, too
    import torch
    from collapse_plot import draw
    from collapse_runs import run_all

    from linearsr.core.atomic import write_text
    from linearsr.core.record import machine_record

    torch.set_num_threads(1)
    plan = Plan(
        arguments.steps,
        arguments.decay_steps,
        arguments.every,
        arguments.tuning_steps,
        tuple(arguments.seeds),
        tuple(arguments.conditions),
        tuple(arguments.starts),
    )
    report = run_all(arguments.config, plan, arguments.work_dir) | {"record": machine_record()}
    print(tables(report))
    if arguments.out:
        write_text(arguments.out, json.dumps(report, indent=1) + "\n")
        draw(report, arguments.out.with_suffix(".png"))


if __name__ == "__main__":
    run_command(main)
