"""Look at what a degradation makes of pictures: python tools/preview_degradation.py StableSR --out preview.png"""

import argparse

from linearsr.core.command_line import run_command


def main() -> None:
    parser = argparse.ArgumentParser(description="A sheet of what a degradation makes of pictures.")
    parser.add_argument("degradation", help="StableSR, SeeSR or SeeSRPaired, or a config that trains with one of them")
    parser.add_argument("--pictures", help="a folder (the bundled held-out photos)")
    parser.add_argument("--out", default="degradation.png", help="the sheet (%(default)s)")
    parser.add_argument("--draws", type=int, default=4, help="LR pictures of each (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other draws (%(default)s)")
    arguments = parser.parse_args()

    from linearsr.core.engine.preview import preview_degradation  # after the arguments: --help needs no torch

    out = preview_degradation(arguments.degradation, arguments.out, arguments.pictures, arguments.draws, arguments.seed)
    print(f"the sheet is {out}")


if __name__ == "__main__":
    run_command(main)
