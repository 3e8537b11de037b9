"""What a metric must do to work in our loops, on one process or many. For ours and for third parties' alike."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from typing import Any

import torch
from mmengine.evaluator import BaseMetric

from linearsr.core.conformance import ConformanceReport
from linearsr.core.pixels import round_to_8bit
from linearsr.core.randomness import generator

STEPS = (1, 4)


def check_metric(make: Callable[[], BaseMetric]) -> ConformanceReport:
    """make() builds a fresh metric. The report's `require()` raises if a law is broken.

    mmengine keeps one entry of `results` per item of the data set and pickles it between ranks, so
    there is one plain entry per picture however many steps it was restored with, and batching changes no figure.
    """
    pictures = [_samples(seed) for seed in range(4)]
    report = ConformanceReport(type(make()).__name__)

    def one_entry_per_picture() -> str:
        metric = _fed(make(), [[sample for samples in pictures for sample in samples]])
        _demand(len(metric.results) == len(pictures), f"{len(metric.results)} entries for {len(pictures)} pictures")
        return f"{len(metric.results)} pictures, {len(STEPS)} numbers of steps"

    def entries_are_plain() -> None:
        results = _fed(make(), pictures).results
        _demand(repr(pickle.loads(pickle.dumps(results))) == repr(results), "results change when pickled")
        _demand(not any(torch.is_tensor(leaf) for leaf in _leaves(results)), "results hold tensors; keep figures only")

    def flat_numbers() -> str:
        figures = _figures(make(), pictures)
        wrong = {key: value for key, value in figures.items() if not isinstance(value, int | float)}
        _demand(bool(figures), "no figure at all")
        _demand(not wrong, f"not numbers: {wrong}")
        return ", ".join(figures)

    def batching_changes_nothing() -> None:
        one_batch = _figures(make(), [[sample for samples in pictures for sample in samples]])
        _same(one_batch, _figures(make(), pictures))
        step_by_step = [[samples[i] for samples in pictures] for i in range(len(STEPS))]
        _same(one_batch, _figures(make(), step_by_step))

    def ranks_change_nothing() -> None:
        parts = [_fed(make(), pictures[rank::2]).results for rank in range(2)]
        gathered = [entry for pair in zip(*parts, strict=True) for entry in pair]  # as mmengine's collect_results
        _same(_figures(make(), pictures), make().compute_metrics(gathered))

    def forgets_after_evaluate() -> None:
        metric = make()
        first = _figures(metric, pictures[:1])
        _figures(metric, pictures[1:])
        _same(first, _figures(metric, pictures[:1]))

    def hr_may_be_missing() -> None:
        _figures(make(), [[sample | {"hr": None} for sample in samples] for samples in pictures])

    report.hold("one entry of results per picture", one_entry_per_picture)
    report.hold("entries are plain and survive pickling", entries_are_plain)
    report.hold("figures are numbers under flat names", flat_numbers)
    report.hold("batching changes no figure", batching_changes_nothing)
    report.hold("gathering over ranks changes no figure", ranks_change_nothing)
    report.hold("nothing is left over from the evaluation before", forgets_after_evaluate)
    report.hold("a picture without HR is no error", hr_may_be_missing)
    return report


def _demand(held: bool, message: str) -> None:
    if not held:
        raise AssertionError(message)


def _samples(seed: int) -> list[dict[str, Any]]:
    """One picture as each number of steps restores it: a 3×12×12 LR, a 3×48×48 HR and noisy HRs."""
    noise = generator(seed)
    hr = torch.rand(3, 48, 48, generator=noise)
    common = {"name": f"picture{seed}", "dataset": f"set{seed // 2}", "hr": hr, "lr": torch.rand(3, 12, 12, generator=noise)}
    return [
        common | {"sr": round_to_8bit(hr + 0.1 * torch.rand(hr.shape, generator=noise)), "num_steps": n, "seconds": 0.5}
        for n in STEPS
    ]


def _fed(metric: BaseMetric, batches: Sequence[Sequence[dict[str, Any]]]) -> BaseMetric:
    for batch in batches:
        metric.process(None, batch)
    return metric


def _figures(metric: BaseMetric, batches: Sequence[Sequence[dict[str, Any]]]) -> dict[str, Any]:
    pictures = {(sample["dataset"], sample["name"]) for batch in batches for sample in batch}
    return _fed(metric, batches).evaluate(len(pictures))


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        value = list(value.values())
    return [leaf for item in value for leaf in _leaves(item)] if isinstance(value, list | tuple) else [value]


def _same(a: dict[str, Any], b: dict[str, Any]) -> None:
    """Up to the order of summation."""
    _demand(a.keys() == b.keys(), f"names differ: {sorted(a.keys() ^ b.keys())}")
    worst = max(a, key=lambda key: abs(a[key] - b[key]))
    _demand(abs(a[worst] - b[worst]) <= 1e-9 * abs(a[worst]), f"{worst} is {a[worst]} in one batch and {b[worst]} otherwise")
