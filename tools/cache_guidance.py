"""Look at the pictures before a run: python tools/cache_guidance.py CONFIG | … CONFIG --verify

Tags, prompts and tokens of what the data sets of a config describe (`Describe` with a `cache`).
"""

import argparse
import sys

from linearsr.core.command_line import add_options, run_command

PHASES = ["train", "val", "test"]


def main() -> None:
    parser = argparse.ArgumentParser(description="Fill the cache of guidance that a config names, or check it.")
    parser.add_argument("config", help="a Python config file with dict(type='Describe', cache='FOLDER', …) in a pipeline")
    parser.add_argument("--phases", nargs="+", choices=PHASES, default=PHASES, help="whose pictures (all)")
    parser.add_argument("--pictures", metavar="FOLDER", help="instead of the config's: a folder with its subfolders")
    parser.add_argument("--workers", type=int, default=0, help="processes that read pictures (0: this one)")
    parser.add_argument("--dry-run", action="store_true", help="the estimate only; writes nothing")
    parser.add_argument("--verify", action="store_true", help="fill nothing: rc 1 if anything is damaged or missing")
    add_options(parser)
    arguments = parser.parse_args()

    from linearsr.core.config import load_config  # after the arguments: --help needs no torch
    from linearsr.core.data.token_estimate import estimate
    from linearsr.core.data.token_filling import fill_tokens, verify_tokens
    from linearsr.core.data.token_jobs import jobs_of, jobs_of_folder
    from linearsr.core.data.token_looking import Lookers
    from linearsr.core.values import require_count

    workers = require_count(arguments.workers, "--workers", at_least=0)
    jobs = jobs_of(load_config(arguments.config, arguments.cfg_options), arguments.phases)
    if arguments.pictures:
        jobs = jobs_of_folder(arguments.pictures, jobs[0])
    if arguments.verify:
        wrong = verify_tokens(jobs, workers)
        print("\n".join(wrong) or "every picture is in its cache, and every entry is as it was written")
        sys.exit(1 if wrong else 0)
    lookers = Lookers()
    print(estimate(jobs, lookers), flush=True)
    if not arguments.dry_run:
        filled = fill_tokens(jobs, lookers, workers)
        print(f"{filled.made} entries made, {filled.present} were there; {len(filled.unreadable)} pictures cannot be read")
        print("".join(f"{said}\n" for said in (*filled.mended, *filled.unreadable)), end="")
        sys.exit(1 if filled.unreadable else 0)


if __name__ == "__main__":
    run_command(main)
