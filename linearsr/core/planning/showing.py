"""A plan on a terminal."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from rich.table import Table
from rich.text import Text

from linearsr.core.command_line import output_console
from linearsr.core.errors import ConfigError
from linearsr.core.planning.asking import Asked
from linearsr.core.planning.plan import Plain, plan_config
from linearsr.core.planning.roofline import Device, device_named, measure_peak
from linearsr.core.tensor_values import DTYPES

if TYPE_CHECKING:
    from rich.console import Console

PREFIXES = ("", "k", "M", "G", "T", "P", "E")
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
NANOSECOND = 1e-9
"""Below it a time says nothing: no machine's cycle is that short."""
DEFAULT_DEVICE = "H100"
CALIBRATED = {"cpu": (torch.float32, torch.bfloat16), "cuda": tuple(DTYPES.values())}
"""What is measured; a CPU may take minutes for a product in float16."""
BOUND = (
    "Times are lower bounds: every layer at the device's peak, each value read and written once, no launches, no waiting. "
    "Memory is what the same operations take on a CPU."
)


def run_inspect(
    source: str,
    options: Sequence[str],
    asked: Asked,
    device: str | None,
    *,
    stage: str | None = None,
    calibrate: bool = False,
    as_json: bool = False,
) -> None:
    """Prints what the config's model costs. device: None for DEFAULT_DEVICE; calibrate: on this machine, whose peaks are
    measured first. Raises ConfigError for both."""
    place = _device(device, calibrate)
    plan = plan_config(source, place, asked, options, stage)
    if as_json:
        print(json.dumps(plan, indent=2))
    else:
        show_plan(plan, output_console())


def show_plan(plan: Plain, console: Console) -> None:
    """Device, then for each stage parameters, a restored picture, its layers, a training step; a stage like an earlier one is
    a line."""
    device = plan["device"]
    peaks = ", ".join(f"{quantity(peak)}FLOP/s {dtype}" for dtype, peak in device["flops"].items())
    moved, memory = quantity(device["bytes"]), quantity(device["memory"])
    _say(console, f"{plan['config']} on {device['name']}: {peaks}, {moved}B/s, {memory}B ({device['source']})")
    _say(console, BOUND)
    shown: dict[int, str] = {}
    for stage in plan["stages"]:
        earlier = shown.setdefault(id(stage["layers"]), stage["name"])
        _say(console, f"\n{stage['name'] or 'the model'}: {stage['denoiser']}", "bold")
        if earlier != stage["name"]:
            _say(console, f"as in {earlier}" + _whole_stage(stage))
            continue
        for note in stage["notes"]:
            _say(console, f"note: {note}", "yellow")
        _show_stage(stage, plan["lr"], console)


def _show_stage(stage: Plain, lr: Sequence[int], console: Console) -> None:
    parameters, restore = stage["parameters"], stage["restore"]
    rows = [[part, f"{count / 1e6:.3f}"] for part, count in parameters["by_part"].items()]
    rows.append(["all", f"{parameters['denoiser'] / 1e6:.1f}"])
    _table(console, "parameters of the denoiser", ["part", "million"], rows)
    scale, words = stage["upscale"], f"{restore['num_steps']} steps, {restore['dtype']}"
    _costs(console, f"a picture {lr[0]}×{lr[1]} -> {lr[0] * scale}×{lr[1] * scale}, {words}", restore)
    if restore["tiles"] is not None:
        _say(console, f"with model.memory_gib: {restore['tiles']}")
    layers = [
        [layer["layer"], layer["count"], *_work(layer), f"{layer['intensity']:.1f}", layer["bound"], duration(layer["seconds"])]
        for layer in stage["layers"]
    ]
    titles = ["layer", "times", "FLOP", "bytes", "FLOP/byte", "bound by", "at least"]
    _table(console, "roofline of one evaluation of the denoiser", titles, layers)
    train = stage["train"]
    if train is not None:
        size = f"{train['batch']} crops {train['lr'][0]}×{train['lr'][1]} of LR"
        _costs(console, f"a training step, {size}, {train['dtype']}", train)
        _say(console, "this stage" + _whole_stage(stage))


def _costs(console: Console, title: str, costs: Plain) -> None:
    rows = [[row["phase"], row["calls"], *_work(row), duration(row["seconds"])] for row in costs["phases"]]
    rows.append(["all", "", *_work(costs["total"]), duration(costs["total"]["seconds"])])
    _table(console, title, ["phase", "calls", "FLOP", "bytes", "at least"], rows)
    memory = costs["memory"]
    parts = " + ".join(f"{quantity(memory[part])}B {part}" for part in memory if part not in ("total", "fits"))
    fits = "" if memory["fits"] else ": more than the device has"
    _say(console, f"memory at the peak: {parts} = {quantity(memory['total'])}B{fits}")


def _whole_stage(stage: Plain) -> str:
    train = stage["train"]
    return "" if train is None else f": {train['iterations']} iterations at most, at least {duration(train['stage_seconds'])}"


def _work(row: Plain) -> list[str]:
    return [quantity(row["flops"]), f"{quantity(row['bytes'])}B"]


def _table(console: Console, title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    table = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(str, row))
    console.print(table)


def _say(console: Console, text: str, style: str = "") -> None:
    console.print(Text(text, style=style), soft_wrap=True)


def quantity(value: float) -> str:
    """Three digits and a prefix of the metric system: 1.12 T."""
    power = 0 if value < 1 else min(int(math.log10(value)) // 3, len(PREFIXES) - 1)
    return f"{value / 1000**power:.3g} {PREFIXES[power]}"


def duration(seconds: float) -> str:
    """Three digits and a unit: 12.3 ms."""
    if 0 < seconds < NANOSECOND:
        return "< 1 ns"
    for unit, length in (("d", DAY), ("h", HOUR), ("min", MINUTE), ("s", 1.0), ("ms", 1e-3)):
        if seconds >= length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"


def _device(name: str | None, calibrate: bool) -> Device:
    if not calibrate:
        return device_named(name or DEFAULT_DEVICE)
    if name is not None:
        raise ConfigError(f"--device {name} and --calibrate, which measures this machine, do not go together; leave one out")
    here = _here()
    return measure_peak(here, CALIBRATED[here.type])


def _here() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
