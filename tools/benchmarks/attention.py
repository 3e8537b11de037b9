"""The attention core against its peers: python tools/benchmarks/attention.py --out docs/benchmarks/attention.json

One process, one thread on a CPU, its CPU time; contenders take turns. The plot is written beside the JSON. Of an earlier JSON
`--markdown docs/benchmarks/attention.json --into docs/benchmarks/attention.md` makes the page's tables.
"""

import argparse
import json
from pathlib import Path

from page_options import add_page_options, page_was_made

from linearsr.core.command_line import run_command


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed and memory of linear attention against diffusers' and torch's.")
    parser.add_argument("--out", help="a JSON file, and a plot of the same name; the goals alone are printed without it")
    parser.add_argument("--rounds", type=int, default=9, help="of every contender but the slowest (%(default)s)")
    parser.add_argument("--budget", type=float, default=5.0, help="seconds for one contender at one size (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="few tokens and heads, two rounds: to see that it runs")
    parser.add_argument("--device", help="cpu or cuda; by default cuda where there is one")
    add_page_options(parser)
    arguments = parser.parse_args()

    from attention_report import judge, plot, summary, tables  # after the arguments: --help needs no torch
    from measuring import print_goals

    if page_was_made(arguments, tables):
        return

    import torch
    from attention_runs import FULL, QUICK, measure

    from linearsr.core.atomic import write_text
    from linearsr.core.record import machine_record

    torch.set_num_threads(1)
    device = torch.device(arguments.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    grid = QUICK if arguments.quick else FULL
    report = measure(grid, device, 2 if arguments.quick else arguments.rounds, arguments.budget)
    report |= summary(report) | {"record": machine_record()}
    print_goals(judge(report))
    if arguments.out:
        write_text(arguments.out, json.dumps(report, indent=1) + "\n")
        plot(report, Path(arguments.out).with_suffix(".png"))


if __name__ == "__main__":
    run_command(main)
