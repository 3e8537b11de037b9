"""Where was the knee of a run? python tools/find_knee.py work_dirs/run/log.jsonl --metric psnr_y:+1 --metric lpips:-1"""

import argparse
import json
from pathlib import Path

from linearsr.core.command_line import run_command


def main() -> None:
    parser = argparse.ArgumentParser(description="Replays logs (JSON lines, or CSV with a header) through the knee detector.")
    parser.add_argument("logs", nargs="+", metavar="LOG", help="log.jsonl, scalars.json, metrics.csv, …")
    parser.add_argument(
        "--metric", action="append", required=True, metavar="NAME:SIGN", help="+1: higher is better, -1: lower; repeat it"
    )
    parser.add_argument("--step-key", default="step", help="key or column of the step (%(default)s)")
    parser.add_argument("--policy", default="median", help="median, any, all, or the metric that decides (%(default)s)")
    parser.add_argument("--epsilon", type=float, default=0.05, help="share of the rise missing at the knee (%(default)s)")
    parser.add_argument("--window", type=int, default=5, help="evaluations in a median (%(default)s)")
    parser.add_argument("--drawdown", type=float, default=0.15, help="share lost in an oscillation (%(default)s)")
    parser.add_argument("--patience", type=int, default=12, help="evaluations without a gain (%(default)s)")
    parser.add_argument("--out", metavar="JSON", help="write the report there, too")
    parser.add_argument("--plot", metavar="PNG", help="draw metrics, phases, knee and onset")
    arguments = parser.parse_args()

    from rich.console import Console  # after the arguments: --help needs no torch

    from linearsr.core.atomic import write_text
    from linearsr.schedules.knee_point.checks import read_directions
    from linearsr.schedules.knee_point.detector import KneeDetector
    from linearsr.schedules.knee_point.log import read_evaluations
    from linearsr.schedules.knee_point.plot import draw_knees
    from linearsr.schedules.knee_point.report import replay

    directions = read_directions(arguments.metric)
    settings = {key: getattr(arguments, key) for key in ("epsilon", "window", "drawdown", "patience", "policy")}
    reports = []
    for log in arguments.logs:
        evaluations = read_evaluations(log, list(directions), arguments.step_key)
        reports.append(replay(log, evaluations, KneeDetector(directions, **settings)))
    console = Console(highlight=False)
    for report in reports:
        console.print(report)
    if arguments.out:
        found = {"directions": directions, **settings, "logs": [report.to_dict() for report in reports]}
        write_text(arguments.out, json.dumps(found, indent=2) + "\n")
    if arguments.plot:
        draw_knees(reports, Path(arguments.plot))


if __name__ == "__main__":
    run_command(main)
