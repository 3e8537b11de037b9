"""The README.md of an exported model: what it is, what it was trained on, how good it is, how it was made, how to use it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from linearsr.core.config import config_hash
from linearsr.core.evaluation.report import COLUMNS
from linearsr.core.record import run_record

UNKNOWN = "not recorded"
SHOWN = ("torch", "mmengine", "mmcv-lite", "linearsr")
"""Versions on the card."""


@dataclass(frozen=True)
class Exported:
    """name: of the folder; checkpoint: what was exported; weights: which of its weights, in words; measured: whether
    they are those that tests and validations of the run measured; iterations: trained; parameters: of the whole model;
    started_from: weights that the run began with."""

    name: str
    checkpoint: Path
    weights: str
    measured: bool
    iterations: int | None
    parameters: int
    started_from: str | None


def model_card(exported: Exported, cfg: Config) -> str:
    """Markdown. Figures come from the metrics.json and versions from the train.json beside the checkpoint; what is not
    there is said to be missing."""
    return "\n".join(
        [
            *_front(exported, cfg),
            "## Parts\n",
            *_parts(cfg.model),
            "\n## Training\n",
            *_training(exported, cfg),
            "\n## Results\n",
            *_results(exported),
            "\n## How it was made\n",
            *_record(exported, cfg),
            "\n## Use\n",
            *_use(exported, cfg),
            "",
        ]
    )


def _front(exported: Exported, cfg: Config) -> list[str]:
    return [
        "---",
        "license:  # yours to fill in",
        "library_name: linearsr",
        "pipeline_tag: image-to-image",
        "tags: [super-resolution]",
        "---",
        f"\n# {exported.name}\n",
        f"Image super-resolution ×{cfg.model['upscale']} with linearsr: a {cfg.model['type']} of "
        f"{exported.parameters / 1e6:.3g} M parameters.\n",
    ]


def _parts(model: Mapping[str, Any]) -> Iterator[str]:
    """Every component of the model, those inside others too."""
    yield from ("| part | component | options |", "|---|---|---|")
    for key, part in _components(model, ()):
        own = ", ".join(f"{name}={value!r}" for name, value in part.items() if name != "type" and not _is_component(value))
        yield f"| {key} | {part['type']} | {own.replace('|', '&#124;')} |"


def _components(node: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for key, value in node.items():
        if _is_component(value):
            yield ".".join((*path, key)), value
            yield from _components(value, (*path, key))


def _is_component(value: Any) -> bool:
    return isinstance(value, Mapping) and "type" in value


def _training(exported: Exported, cfg: Config) -> Iterator[str]:
    loader = cfg.get("train_dataloader")
    if loader is None:
        yield "The config has no train_dataloader."
    else:
        dataset = {key: value for key, value in loader["dataset"].items() if key not in ("type", "pipeline")}
        steps = [step["type"] for step in loader["dataset"].get("pipeline", ())]
        options = ", ".join(f"{key}={value!r}" for key, value in dataset.items())
        yield f"* data: {loader['dataset']['type']}({options}), a path being that of the machine it was trained on"
        if steps:
            yield f"* pipeline: {' → '.join(steps)}"
        yield f"* batch: {loader.get('batch_size', 1)} per process"
        optimizer = cfg["optim_wrapper"].get("optimizer", {})
        yield f"* optimiser: {', '.join(f'{key}={value!r}' for key, value in optimizer.items())}"
    yield f"* iterations: {UNKNOWN if exported.iterations is None else exported.iterations}"
    yield f"* weights: {exported.weights}"
    if exported.started_from is not None:
        yield f"* started from: {exported.started_from}"


def _results(exported: Exported) -> list[str]:
    file = exported.checkpoint.parent / "metrics.json"
    if not exported.measured:
        return ["None: tests of this run measured the averaged weights, and these are the raw ones."]
    found = json.loads(file.read_text()) if file.is_file() else {}
    tested = (found.get("record") or {}).get("checkpoint")
    if tested is None or Path(tested).name != exported.checkpoint.name:
        return [f"None: the run's folder holds no metrics.json of {exported.checkpoint.name}."]
    return _table(found["rows"])


def _table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    shown = [name for name in COLUMNS if any(row.get(name) is not None for row in rows)]
    titles = ["data set", "method", "steps", "pictures", "crop", *(COLUMNS[name][0] for name in shown)]
    lines = [titles, ["---"] * len(titles)]
    for row in rows:
        first = [row["dataset"], row["method"], row["num_steps"] or "", row["num_images"], row["crop_border"]]
        lines.append([*map(str, first), *(_figure(row.get(name), COLUMNS[name][1]) for name in shown)])
    return [f"| {' | '.join(cells)} |" for cells in lines]


def _figure(value: float | str | None, decimals: int) -> str:
    """metrics.json writes inf and nan as text."""
    return "–" if value is None else f"{float(value):.{decimals}f}"


def _record(exported: Exported, cfg: Config) -> list[str]:
    file = exported.checkpoint.parent / "train.json"
    starts = json.loads(file.read_text()) if file.is_file() else []
    run, now = (starts[-1] if starts else {}), run_record(cfg)
    versions = ", ".join(f"{name} {(run.get('versions') or {}).get(name)}" for name in SHOWN) if run else UNKNOWN
    return [
        f"* trained by: `{run['command']}`" if run else f"* trained by: {UNKNOWN}",
        f"* commit: {run.get('git_commit') or UNKNOWN}; seed: {(cfg.get('randomness') or {}).get('seed')}",
        f"* versions: {versions}; device: {run.get('device', UNKNOWN)}",
        f"* exported from {exported.checkpoint.name} on {now['time_utc']} by linearsr {now['versions']['linearsr']}",
        f"* SHA-256 of config.py: {config_hash(cfg)} (of the resolved settings, as in every metrics.json)",
    ]


def _use(exported: Exported, cfg: Config) -> Iterator[str]:
    files = [f"{exported.name}/{name}" for name in ("config.py", "model.safetensors")]
    config, weights = map(shlex.quote, files)
    yield "From the folder that holds this one, with linearsr's `tools/`:\n"
    yield "```bash"
    if cfg.get("test_dataloader") is not None:
        yield f"python tools/test.py {config} {weights}"
    if cfg.get("train_dataloader") is not None:
        yield f"python tools/train.py {config} --cfg-options load_from={weights}"
    yield "```\n"
    yield "In Python:\n"
    yield "```python"
    yield "import linearsr\n"
    yield f"model = linearsr.load_model({files[0]!r}, {files[1]!r})"
    yield 'picture = linearsr.read_image("small.png")  # [3, h, w] in 0..1'
    yield 'linearsr.write_image("large.png", model.restore(picture[None], num_steps=1)[0])'
    yield "```"
