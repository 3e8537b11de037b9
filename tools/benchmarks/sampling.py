"""The full-size model on a GPU, beside diffusers' Sana: python tools/benchmarks/sampling.py --out docs/benchmarks/sampling.json

One evaluation (eager, compiled, as CUDA graphs), 20 steps with decoding, an evaluation at 4096², a training step; random
weights, bfloat16, 1024² unless said otherwise. Contenders take turns in one process. What does not fit is noted and the others
go on. Of an earlier JSON `--markdown docs/benchmarks/sampling.json` prints the tables.
"""

import argparse
import json

from page_options import add_page_options, page_was_made
from sampling_page import open_page

from linearsr.core.command_line import run_command


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed and memory at full size against diffusers, eager and compiled.")
    parser.add_argument("--out", help="a JSON file; the goals alone are printed without it")
    parser.add_argument("--rounds", type=int, default=20, help="of each contender (%(default)s)")
    parser.add_argument("--budget", type=float, default=20.0, help="seconds for one contender of one part (%(default)s)")
    parser.add_argument("--tiny", action="store_true", help="a narrow model, two rounds: to see that it runs, on a CPU too")
    parser.add_argument("--device", default="cuda", help="cuda, or cpu with --tiny (%(default)s)")
    parser.add_argument("--peak-tflops", type=float, help="of the device in bfloat16; by default a known one's, else measured")
    add_page_options(parser)
    arguments = parser.parse_args()

    from measuring import print_goals  # after the arguments: --help needs no torch
    from sampling_report import NOT_RUN, judge, states, tables

    if arguments.markdown and arguments.into:
        open_page(arguments.into, arguments.markdown)
    if page_was_made(arguments, tables):
        return

    import torch
    from sampling_runs import measure
    from sampling_sizes import FULL, TINY

    from linearsr.core.atomic import write_text
    from linearsr.core.errors import ConfigError
    from linearsr.core.record import machine_record

    if arguments.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("there is no CUDA device here; --device cpu --tiny shows that it runs")
    if arguments.device == "cpu" and not arguments.tiny:
        raise ConfigError("--device cpu is for --tiny: the full size would take hours")
    torch.set_num_threads(1)
    rounds = 2 if arguments.tiny else arguments.rounds
    peak = None if arguments.peak_tflops is None else 1e12 * arguments.peak_tflops
    report = measure(TINY if arguments.tiny else FULL, torch.device(arguments.device), rounds, arguments.budget, peak)
    report |= {"goals": states(report), "record": machine_record()}
    print_goals(judge(report))
    for name in (goal["name"] for goal in report["goals"] if goal["verdict"] == NOT_RUN):
        print(f"{NOT_RUN}: {name}")
    for name, why in report["failed"].items():
        print(f"{name} failed: {why}")
    if arguments.out:
        write_text(arguments.out, json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    run_command(main)
