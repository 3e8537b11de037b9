"""The embedded tagger on the bundled photos: python tools/benchmarks/tagging.py --out docs/benchmarks/tagging.json

Each photo as it is, and 4 and 8 times smaller (bicubic), as a tagger sees it in training and in use. Of an earlier JSON
`--markdown docs/benchmarks/tagging.json --into docs/guidance_taggers.md` makes the page's tables.
"""

import argparse
import json
from typing import TYPE_CHECKING, Any

from page_options import add_page_options, page_was_made
from photo_labels import IN_SIGHT, NO_WORDS

from linearsr.core.command_line import run_command

if TYPE_CHECKING:
    from torch import Tensor

TOP = 5
SMALLER = (1, 4, 8)
GRIDS = (1, 2, 3, 4)
THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.5)
TAGGER = {"type": "EfficientNetLiteTagger", "threshold": 0, "drop_synonyms": False}


def main() -> None:
    parser = argparse.ArgumentParser(description="Tags of the bundled photos, and how many of them are right.")
    parser.add_argument("--out", help="a JSON file; the share of photos alone is printed without it")
    add_page_options(parser)
    arguments = parser.parse_args()
    if page_was_made(arguments, tables):
        return

    from linearsr.core.atomic import write_text
    from linearsr.core.record import machine_record

    report = measure() | {"record": machine_record()}
    print(share(report, "3", "1"))
    if arguments.out:
        write_text(arguments.out, json.dumps(report, indent=1, ensure_ascii=False) + "\n")


def measure() -> dict[str, Any]:
    """{"tags": {grid: {smaller: {photo: [[name, score], … the highest 5]}}}, "seconds": {grid: of one photo}}"""
    import time

    from linearsr.core.registries import TAGGERS

    tags: dict[str, Any] = {}
    seconds = {}
    for grid in GRIDS:
        tagger = TAGGERS.build({**TAGGER, "grid": grid})
        photos = {smaller: _photos(smaller) for smaller in SMALLER}
        start = time.process_time()
        tags[str(grid)] = {
            str(smaller): {
                name: [[tag.name, round(tag.score, 3)] for tag in tagger(picture[None])[0]] for name, picture in shown.items()
            }
            for smaller, shown in photos.items()
        }
        seconds[str(grid)] = round((time.process_time() - start) / sum(map(len, photos.values())), 3)
    return {"tags": tags, "seconds": seconds}


def share(report: dict[str, Any], grid: str, smaller: str) -> str:
    """In how many of the photos with a label, and of all, one is among the five highest."""
    tags = report["tags"][grid][smaller]
    found = sum(any(name in IN_SIGHT.get(photo, ()) for name, _ in told[:TOP]) for photo, told in tags.items())
    return f"{found} of {len(IN_SIGHT)}; {found} of all {len(tags)} ({found / len(tags):.0%})"


def tables(report: dict[str, Any]) -> str:
    whole = report["tags"]["3"]["1"]
    lines = ["| photo | in sight | five highest tags and their scores |", "|---|---|---|"]
    for photo in (*IN_SIGHT, *NO_WORDS):
        right = IN_SIGHT.get(photo, ())
        told = ", ".join(f"**{name}** {score:.2f}" if name in right else f"{name} {score:.2f}" for name, score in whole[photo])
        lines.append(f"| {photo} | {', '.join(right) or '—'} | {told} |")
    lines += ["", "| grid | CPU seconds | photo as it is | 4 times smaller | 8 times smaller |", "|---|---|---|---|---|"]
    for grid, seconds in report["seconds"].items():
        lines.append(f"| {grid} | {seconds:.2f} | {' | '.join(share(report, grid, str(smaller)) for smaller in SMALLER)} |")
    lines += ["", "| threshold | tags told | right ones | photos with none |", "|---|---|---|---|"]
    for threshold in THRESHOLDS:
        told = {photo: [name for name, score in tags if score > threshold] for photo, tags in whole.items()}
        right = sum(name in IN_SIGHT.get(photo, ()) for photo, names in told.items() for name in names)
        count, none = sum(map(len, told.values())), sum(not names for names in told.values())
        lines.append(f"| {threshold} | {count} | {right} ({right / max(count, 1):.0%}) | {none} |")
    return "\n".join(lines)


def _photos(smaller: int) -> dict[str, "Tensor"]:
    from pathlib import Path

    from linearsr.core.data.bundled_photos import PHOTOS, photo_path
    from linearsr.core.data.images import read_image
    from linearsr.core.resampling import resize_bicubic

    found = {}
    for name in (*PHOTOS["train"], *PHOTOS["held_out"]):
        picture = read_image(photo_path(name))
        size = (picture.shape[1] // smaller, picture.shape[2] // smaller)
        found[Path(name).stem] = resize_bicubic(picture[None], size)[0].clamp(0, 1)
    return found


if __name__ == "__main__":
    run_command(main)
