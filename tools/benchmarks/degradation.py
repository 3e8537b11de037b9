"""How many LR pictures a core makes in a second: python tools/benchmarks/degradation.py --out degradation.json

CPU time of this process, with one thread, so that a busy machine tells nearly the same as an idle one.
"""

import argparse
import json
import statistics
import time

from linearsr.core.command_line import run_command


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed of the second-order degradation, 512×512 to 128×128.")
    parser.add_argument("--pictures", type=int, default=60, help="of each preset and round (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="presets take turns (%(default)s)")
    parser.add_argument("--out", help="a JSON file; printed without it")
    arguments = parser.parse_args()

    import cv2
    import torch

    from linearsr.core.atomic import write_text
    from linearsr.core.data.bundled_photos import photo_path
    from linearsr.core.data.degradations import PRESETS, degrade, draw_settings
    from linearsr.core.data.images import read_image
    from linearsr.core.randomness import numpy_generator
    from linearsr.core.record import machine_record

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    hr = read_image(photo_path("skimage/astronaut.png"))
    speeds: dict[str, list[float]] = {name: [] for name in PRESETS}
    for number in range(arguments.rounds):
        for name, preset in PRESETS.items():
            start = time.process_time()
            for seed in range(number * arguments.pictures, (number + 1) * arguments.pictures):
                generator = numpy_generator(seed)
                degrade(hr, draw_settings(preset, generator), 4, generator)
            speeds[name].append(arguments.pictures / (time.process_time() - start))
    rows = {name: {"lr_per_second_per_core": statistics.median(values), "rounds": values} for name, values in speeds.items()}
    text = json.dumps({"hr": list(hr.shape), "rows": rows, "record": machine_record()}, indent=2) + "\n"
    if arguments.out:
        write_text(arguments.out, text)
    print(text, end="")


if __name__ == "__main__":
    run_command(main)
