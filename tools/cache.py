"""Fill and check what `Cached` keeps: python tools/cache.py build CONFIG | python tools/cache.py verify FOLDER"""

import argparse
import sys

from linearsr.core.command_line import add_options, run_command
from linearsr.core.errors import ConfigError


def main() -> None:
    parser = argparse.ArgumentParser(description="Fill the cache of a config before a run, or check one.")
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("build", help="make every entry that the data sets of a config can ask for")
    build.add_argument("config", help="a Python config file with dict(type='Cached', …) in a pipeline")
    build.add_argument("--workers", type=int, default=0, help="data workers (0: this process)")
    add_options(build)
    verify = commands.add_parser("verify", help="read every entry; rc 1 if any is damaged or missing")
    verify.add_argument("folder", help="the folder of the cache")
    verify.add_argument("--delete", action="store_true", help="remove damaged entries; a run makes them again")
    verify.add_argument("--config", help="name also what the data sets of this config would miss")
    add_options(verify)
    arguments = parser.parse_args()

    from linearsr.core.data.cache_upkeep import fill_cache, verify_cache  # after the arguments: --help needs no torch

    if arguments.command == "build":
        filled = fill_cache(arguments.config, workers=arguments.workers, options=arguments.cfg_options)
        print(f"{filled.absent} entries made, {filled.present} were there; {len(filled.unreadable)} pictures cannot be read")
        print("\n".join(filled.unreadable), end="\n" if filled.unreadable else "")
        sys.exit(1 if filled.unreadable else 0)
    missed: list[str] = []
    if arguments.config:
        filled = fill_cache(arguments.config, make=False, options=arguments.cfg_options, folder=arguments.folder)
        missed = [f"{filled.absent} entries are missing"] * bool(filled.absent) + filled.unreadable
    elif arguments.cfg_options:
        raise ConfigError("--cfg-options change a config; name it with --config")
    wrong = verify_cache(arguments.folder, delete=arguments.delete, may_be_empty=bool(arguments.config)) + missed
    print("\n".join(wrong) or f"every entry of {arguments.folder} is as it was written")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    run_command(main)
