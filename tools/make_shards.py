"""Pictures into tar shards: python tools/make_shards.py my/photos shards --per-shard 1000"""

import argparse
import shlex
import sys

from linearsr.core.command_line import run_command


def main() -> None:
    parser = argparse.ArgumentParser(description="Pack pictures into tar shards with an index, or look at such shards.")
    parser.add_argument("folder", help="a folder of HR pictures, or a .txt list; with --verify a folder of shards")
    parser.add_argument("out", nargs="?", help="the folder of the shards")
    parser.add_argument("--lr", metavar="FOLDER", help="LR pictures of the same names, packed beside their HR")
    parser.add_argument("--per-shard", type=int, default=1000, help="pictures in a shard (1000)")
    parser.add_argument("--verify", action="store_true", help="read every shard and hold it against the index")
    arguments = parser.parse_args()
    if arguments.verify == (arguments.out is not None):
        parser.error("wanted FOLDER OUT, or --verify FOLDER")

    from linearsr.core.data.shard_writing import (  # after the arguments: --help needs no torch
        shards_from_folders,
        verify_shards,
    )

    if arguments.verify:
        wrong = verify_shards(arguments.folder)
        print("\n".join(wrong) or f"the shards of {arguments.folder} are as their index says")
        sys.exit(1 if wrong else 0)
    made = shards_from_folders(
        arguments.folder, arguments.out, lr_root=arguments.lr, per_shard=arguments.per_shard, command=shlex.join(sys.argv)
    )
    print(f"{len(made)} shards and their index.json are in {arguments.out}")


if __name__ == "__main__":
    run_command(main)
