"""What every ablation over seeds offers. Imports no torch, so that --help is quick."""

import argparse
from pathlib import Path


def add_run_options(parser: argparse.ArgumentParser, *, steps: str, work_dir: str) -> None:
    """steps: what is trained for so long; work_dir: by default."""
    parser.add_argument("--steps", type=int, default=600, help=f"iterations of {steps} (%(default)s)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of weights and data (%(default)s)")
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time, one thread each (%(default)s)")
    parser.add_argument("--work-dir", default=Path(work_dir), type=Path, help="of all runs (%(default)s)")
