"""Separately trained experts into one mixture: python tools/merge_experts.py A.pth B.pth … --out mixture.safetensors"""

import argparse
from pathlib import Path

from linearsr.core.command_line import run_command


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Put experts that were trained one by one together; or take one out of a mixture, as a dense model."
    )
    parser.add_argument(
        "checkpoints", nargs="+", help="expert 0's, expert 1's, …: dense models, or mixtures of which that expert was trained"
    )
    parser.add_argument("--out", required=True, help="the .safetensors file to write")
    parser.add_argument("--config", help="a config of the mixture: refuse what does not fit its model")
    parser.add_argument("--split", type=int, metavar="K", help="of the one checkpoint, write expert K as a dense model")
    arguments = parser.parse_args()

    # after the arguments: --help needs no torch
    from linearsr.core.errors import ConfigError
    from linearsr.core.models import build_model
    from linearsr.core.weights import load_strict, read_state_dict, write_safetensors
    from linearsr.experts.merging import merge_experts, split_expert

    files = arguments.checkpoints
    if arguments.split is not None:
        if len(files) != 1:
            raise ConfigError(f"--split takes an expert out of one checkpoint; {len(files)} are given")
        merged, done = split_expert(read_state_dict(files[0]), arguments.split, files[0]), f"expert {arguments.split}"
    else:
        refuse_misplaced(files)
        merged, done = merge_experts([read_state_dict(file) for file in files], files), f"{len(files)} experts"
    if arguments.config:
        load_strict(build_model(arguments.config), merged, " + ".join(files))
    print(f"{done} in {write_safetensors(arguments.out, merged)}")


def refuse_misplaced(files: list[str]) -> None:
    """Raises ConfigError for a file given twice, and for one whose run trained another expert than its place."""
    from linearsr.core.engine.export import config_in
    from linearsr.core.errors import ConfigError, WeightsError
    from linearsr.core.weights import read_pickled
    from linearsr.experts.merging import trained_expert

    for place, file in enumerate(files):
        for other, earlier in enumerate(files[:place]):
            if Path(file).resolve() == Path(earlier).resolve():
                raise ConfigError(f"{file} is given for the experts {other} and {place}; wanted a file for each expert")
        if not Path(file).is_file() or Path(file).suffix == ".safetensors":
            continue  # does not exist, which is said when it is read; or does not say how it was trained
        content = read_pickled(Path(file))
        try:
            trained = trained_expert(config_in(content if isinstance(content, dict) else {}, Path(file)))
        except WeightsError:
            continue  # weights alone
        if trained not in (None, place):
            raise ConfigError(f"{file} trained expert {trained} and stands in the place of expert {place}; change the order")


if __name__ == "__main__":
    run_command(main)
