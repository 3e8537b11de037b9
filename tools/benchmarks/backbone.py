"""LinearDiT beside diffusers' Sana: python tools/benchmarks/backbone.py --out docs/benchmarks/backbone.json

Both hold the same weights, drawn at random. One process, one thread on a CPU, its CPU time; they take turns. Of an earlier JSON
`--markdown docs/benchmarks/backbone.json --into docs/benchmarks/backbone.md` makes the page's tables.
"""

import argparse
import json

from page_options import add_page_options, page_was_made

from linearsr.core.command_line import run_command


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed and memory of the backbone against diffusers' SanaTransformer2DModel.")
    parser.add_argument("--out", help="a JSON file; the goals alone are printed without it")
    parser.add_argument("--rounds", type=int, default=7, help="of each model at the smallest size (%(default)s)")
    parser.add_argument("--budget", type=float, default=20.0, help="seconds for one model at one size (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="a narrow model, two rounds: to see that it runs")
    parser.add_argument("--device", help="cpu or cuda; by default cuda where there is one")
    add_page_options(parser)
    arguments = parser.parse_args()

    from backbone_report import judge, tables  # after the arguments: --help needs no torch
    from measuring import goal_rows, print_goals

    if page_was_made(arguments, tables):
        return

    import torch
    from backbone_runs import FULL, QUICK, measure

    from linearsr.core.atomic import write_text
    from linearsr.core.record import machine_record

    torch.set_num_threads(1)
    device = torch.device(arguments.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    plan = QUICK if arguments.quick else FULL
    report = measure(plan, device, 2 if arguments.quick else arguments.rounds, arguments.budget)
    report |= {"goals": goal_rows(judge(report)), "record": machine_record()}
    print_goals(judge(report))
    if arguments.out:
        write_text(arguments.out, json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    run_command(main)
