"""Trains and tests the arms of the guidance ablation, which are alike but for their texts."""

from __future__ import annotations

import json
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from guidance_words import ARMS, FIXED, TAGGER, Words, arm_words, tags_of, write_words
from training_pool import Budget, Result, Training, noted, submit, without_validation

from linearsr.core.config import load_config
from linearsr.core.engine import run_testing
from linearsr.core.registries import GUIDANCE, MODELS, TAGGERS

MEASURES = ("psnr_y", "niqe")
FROM_TAGS = {"tags, told nothing in use": "none", "tags, told another's in use": "shuffled tags"}
"""The models of the arm "tags" once more, without training: whether they listen."""
Row = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """config: whose pipelines begin with ReadSidecarText, of the training set and of several test sets."""

    config: Path
    budget: Budget
    work_dir: Path

    def training(self, arm: str, seed: int) -> Training:
        options = (*without_validation(self.budget.steps, seed), *self.words(arm, "train"), *self.words(arm, "test"))
        return Training(self.config, options, self.work_dir / _plain(arm) / f"steps_{self.budget.steps}_seed_{seed}")

    def words(self, arm: str, phase: str) -> list[str]:
        """Options: the folders of an arm's texts."""
        described = load_config(self.config).to_dict()[f"{phase}_dataloader"]["dataset"]
        sets = {"": described} if phase == "train" else {f"datasets.{i}.": one for i, one in enumerate(described["datasets"])}
        folder = self.folder(arm).absolute()
        return [f"{phase}_dataloader.dataset.{at}pipeline.0.folder={folder / one['name']}" for at, one in sets.items()]

    def folder(self, arm: str) -> Path:
        return self.work_dir / "words" / _plain(arm)


def run_all(plan: Plan, jobs: int) -> dict[str, Any]:
    """Plain data: a row for each run that finished, the reason for each that did not, and what encoders take."""
    tags, tagging = tags_of(plan.config)
    for arm in ARMS:
        write_words(arm_words(tags, arm), plan.folder(arm))
    rows: list[Row] = []
    failed: dict[str, str] = {}
    with ThreadPoolExecutor(jobs) as pool:
        runs = {(arm, seed): submit(pool, plan.training(arm, seed)) for seed in plan.budget.seeds for arm in ARMS}
        for (arm, seed), run in runs.items():
            with noted(f"{arm}, seed {seed}", failed):
                rows.append(_row(arm, seed, run.result()))
    for seed in plan.budget.seeds:
        for name, told in FROM_TAGS.items():
            with noted(f"{name}, seed {seed}", failed):
                rows.append(_told_otherwise(plan, name, told, seed))
    return {
        **asdict(plan.budget),
        "config": plan.config.name,
        "tagger": TAGGER,
        "arms": [*ARMS, *FROM_TAGS],
        "told": {"pictures": len(tags), "with_tags": sum(bool(text) for text in tags.values())},
        "costs": {"tagging_seconds": tagging, **_encoding(plan.config, tags)},
        "parameters": _parameters(plan.config),
        "rows": rows,
        "failed": failed,
    }


def _row(name: str, seed: int, result: Result) -> Row:
    figures = [{key: row[key] for key in ("dataset", "method", "num_steps", *MEASURES)} for row in result["rows"]]
    return {"name": name, "seed": seed, "cpu_seconds": result.get("cpu_seconds"), "figures": figures}


def _told_otherwise(plan: Plan, name: str, told: str, seed: int) -> Row:
    training = plan.training("tags", seed)
    options = [option for option in training.options if not option.startswith("test_dataloader")]
    out = run_testing(plan.config, training.folder, training.folder / _plain(told), [*options, *plan.words(told, "test")])
    return _row(name, seed, {"rows": json.loads((out / "metrics.json").read_text())["rows"]})


def _encoding(config: Path, tags: Words) -> dict[str, Any]:
    """Of the texts that say something, or the fixed one where none does: CPU seconds and tokens of one, both the mean; bytes
    of both networks' weights."""
    encoder = GUIDANCE.build(load_config(config).to_dict()["model"]["guidance"]).text_encoder
    weights = {"tagger_bytes": _bytes(TAGGERS.build(TAGGER).load().module), "encoder_bytes": _bytes(encoder.load().model)}
    texts = [text for text in tags.values() if text] or [FIXED]
    encoder(texts[:1])  # loads it
    seconds, tokens = [], []
    for text in texts:
        start = time.process_time()
        tokens.append(_tokens(encoder, text))
        seconds.append(time.process_time() - start)
    mean = {"encoding_seconds": statistics.fmean(seconds), "tokens": statistics.fmean(tokens)}
    return mean | {"fixed_tokens": _tokens(encoder, FIXED)} | weights


def _tokens(encoder: Any, text: str) -> int:
    return int(encoder([text]).mask.sum())


def _bytes(module: Any) -> int:
    return sum(parameter.numel() * parameter.element_size() for parameter in module.parameters())


def _parameters(config: Path) -> int:
    model = MODELS.build(load_config(config).model)
    return sum(parameter.numel() for parameter in model.parameters())


def _plain(name: str) -> str:
    return name.replace(" ", "_")
