"""What a cache of guidance costs data loading: python tools/benchmarks/guidance_loading.py CONFIG --out guidance_loading.json

Draws of the config's training set, each with its Describe and without, in turns; CPU time of this process, with one thread, so
that a busy machine tells nearly the same as an idle one.
"""

import argparse
import json
import statistics
import time
from typing import TYPE_CHECKING, Any

from linearsr.core.command_line import run_command

if TYPE_CHECKING:
    from linearsr.core.data.datasets import PictureDataset

Times = dict[str, list[float]]
"""CPU seconds of each picture, "plain" and "described"."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Data loading with guidance from a cache, relative to loading without.")
    parser.add_argument("config", help="its train_dataloader has a Describe with a cache that is filled")
    parser.add_argument("--epochs", type=int, default=3, help="the first finds memory empty (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="each with memory empty again (%(default)s)")
    parser.add_argument("--out", help="a JSON file; printed without it")
    arguments = parser.parse_args()

    import torch

    from linearsr.core.atomic import write_text
    from linearsr.core.config import load_config
    from linearsr.core.record import machine_record
    from linearsr.core.registries import DATASETS

    torch.set_num_threads(1)
    described = load_config(arguments.config).train_dataloader.dataset.to_dict()
    plain = {**described, "pipeline": [step for step in described["pipeline"] if step["type"] != "Describe"]}
    epochs: list[list[Times]] = [[] for _ in range(arguments.epochs)]
    for number in range(arguments.rounds):
        pair = DATASETS.build(plain), DATASETS.build(described)
        for epoch in epochs:
            epoch.append(_seconds(*pair, seed=number))
    rows = [{"epoch": number + 1, **_summary(rounds)} for number, rounds in enumerate(epochs)]
    found = {"pictures": len(DATASETS.build(plain)), "rows": rows, "record": machine_record()}
    text = json.dumps(found, indent=2) + "\n"
    if arguments.out:
        write_text(arguments.out, text)
    print(text, end="")


def _seconds(plain: "PictureDataset", described: "PictureDataset", seed: int) -> Times:
    """CPU seconds of each picture; who comes first changes from picture to picture and from round to round."""
    from linearsr.core.data.samplers import DrawIndex

    spent: Times = {"plain": [], "described": []}
    for index in range(len(plain)):
        order = [("plain", plain), ("described", described)]
        for name, dataset in order if (index + seed) % 2 else order[::-1]:
            start = time.process_time()
            dataset[DrawIndex(index, seed)]
            spent[name].append(time.process_time() - start)
    return spent


def _summary(rounds: list[Times]) -> dict[str, Any]:
    """throughput: of loading with guidance, relative to loading without, over the rounds; of_least_times: the same of each
    picture's least time, which others on the machine disturb least; milliseconds: the mean of these times."""
    ratios = [sum(own["plain"]) / sum(own["described"]) for own in rounds]
    least = {name: [min(times) for times in zip(*(own[name] for own in rounds), strict=True)] for name in rounds[0]}
    return {
        "throughput": {"median": statistics.median(ratios), "least": min(ratios), "most": max(ratios)},
        "of_least_times": sum(least["plain"]) / sum(least["described"]),
        "milliseconds": {name: 1e3 * statistics.mean(times) for name, times in least.items()},
    }


if __name__ == "__main__":
    run_command(main)
