"""The knee detector and its peers where the knee is known: python tools/benchmarks/knee.py --out docs/benchmarks/knee.json

Of an earlier JSON `--markdown docs/benchmarks/knee.json --into docs/knee.md` makes the page's tables.
"""

import argparse
import json

from page_options import add_page_options, page_was_made

from linearsr.core.command_line import run_command


def main() -> None:
    parser = argparse.ArgumentParser(description="Errors of knee detectors on synthetic curves of known knee.")
    parser.add_argument("--runs", type=int, default=1000, help="curves, kinds and noises in turn (%(default)s)")
    parser.add_argument("--first-seed", type=int, default=0, help="the constants were chosen on others (%(default)s)")
    parser.add_argument("--out", help="a JSON file; the tables alone are printed without it")
    add_page_options(parser)
    arguments = parser.parse_args()

    from knee_summary import judge, summarise, tables  # after the arguments: --help needs no torch
    from measuring import goal_rows, print_goals

    if page_was_made(arguments, tables):
        return

    from knee_runs import run_all

    from linearsr.core.atomic import write_text
    from linearsr.core.record import machine_record

    rows = summarise(run_all(arguments.first_seed, arguments.runs))
    judged = judge(rows)
    report = {"first_seed": arguments.first_seed, "count": arguments.runs, "rows": rows, "goals": goal_rows(judged)}
    report["record"] = machine_record()
    print(tables(report))
    print_goals(judged)
    if arguments.out:
        write_text(arguments.out, json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    run_command(main)
