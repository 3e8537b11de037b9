"""What a prompt costs: python tools/benchmarks/text_encoders.py --out docs/benchmarks/text_encoders.json

CPU time of this process, with one thread. An encoder from a folder: --encoder '{"type": "T5TextEncoder", "folder": "…"}'
"""

import argparse
import json
from typing import Any

from page_options import add_page_options, page_was_made

from linearsr.core.command_line import run_command

PROMPTS = {
    "5 tags": "cat, sofa, window, curtain, plant",
    "20 tags": "cat, sofa, window, curtain, plant, carpet, lamp, book, shelf, wall, picture, frame, table, cup, chair, floor, "
    "pillow, door, vase, flower",
    "200 words": "a cat on a sofa beside a window " * 25,
}
NOT_MEASURED = {
    "GemmaTextEncoder": "2304 (gemma-2-2b)",
    "T5TextEncoder": "4096 (t5-v1_1-xxl)",
    "CLIPTextEncoder": "768 (ViT-L/14)",
}
"""Their weights are on no package index; width as their authors give it."""
MIB = 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description="Time and memory of text encoders on one core.")
    parser.add_argument("--encoder", action="append", help="as in a config, in JSON (MiniLMTextEncoder); may be given again")
    parser.add_argument("--out", help="a JSON file; printed without it")
    add_page_options(parser)
    arguments = parser.parse_args()
    if page_was_made(arguments, tables):
        return

    import torch

    from linearsr.core.atomic import write_text
    from linearsr.core.record import machine_record

    torch.set_num_threads(1)
    configs = [json.loads(text) for text in arguments.encoder or ['{"type": "MiniLMTextEncoder"}']]
    rows = [measured(config) for config in configs]
    text = json.dumps({"rows": rows, "record": machine_record()}, indent=2) + "\n"
    if arguments.out:
        write_text(arguments.out, text)
    print(text, end="")


def measured(config: dict[str, Any]) -> dict[str, Any]:
    from linearsr.core.costs import cpu_seconds, peak_bytes
    from linearsr.core.registries import TEXT_ENCODERS

    encoder = TEXT_ENCODERS.build(config)
    loading = cpu_seconds(lambda: (encoder.unload(), encoder.load()))
    model = encoder.load().model
    tokens = {name: encoder([text]).tokens.shape[1] for name, text in PROMPTS.items()}
    return {
        "encoder": config["type"],
        "width": encoder.width,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "weight_bytes": sum(parameter.numel() * parameter.element_size() for parameter in model.parameters()),
        "dtype": str(encoder.dtype).removeprefix("torch."),
        "load_ms": 1000 * loading,
        "tokens": tokens,
        "ms": {name: 1000 * cpu_seconds(lambda: encoder([PROMPTS[name]])) for name in PROMPTS},  # noqa: B023
        "peak_bytes": {name: peak_bytes(lambda: encoder([PROMPTS[name]])) for name in PROMPTS},  # noqa: B023
    }


def tables(report: dict[str, Any]) -> str:
    """Markdown."""
    from measuring import markdown_table

    prompts = [f"{name}, ms" for name in PROMPTS]
    head = ["encoder", "width", "parameters", "weights, MiB", *prompts, "peak beside weights, MiB", "loading, ms"]
    rows = [cells(row) for row in report["rows"]]
    known = {row["encoder"] for row in report["rows"]}
    unknown = [
        [f"`{name}`", width, *["not measured"] * (len(head) - 2)] for name, width in NOT_MEASURED.items() if name not in known
    ]
    first, versions = report["rows"][0], report["record"]["versions"]
    lengths = ", ".join(f"{count} tokens of {name}" for name, count in first["tokens"].items())
    below = (
        f"Median processor time of nine calls, one thread, one prompt a call. {first['encoder']} makes {lengths}. Peak beside "
        f"the weights: by torch's allocator, for the longest. Python {report['record']['python']}, torch {versions['torch']}."
    )
    return f"{markdown_table(head, [*rows, *unknown])}\n\n{below}"


def cells(row: dict[str, Any]) -> list[str]:
    times = [f"{row['ms'][name]:.1f}" for name in PROMPTS]
    weights, peak = row["weight_bytes"] / MIB, max(row["peak_bytes"].values()) / MIB
    size = [str(row["width"]), f"{row['parameters'] / 1e6:.1f} M", f"{weights:.0f} ({row['dtype']})"]
    return [f"`{row['encoder']}`", *size, *times, f"{peak:.1f}", f"{row['load_ms']:.0f}"]


if __name__ == "__main__":
    run_command(main)
