"""The collapse in one picture: the long run's metrics, norms and sums, and where fine-tunings ended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from measuring.plotting import save

FLOAT16_MAX = 65504
SHADES = ("#1b6ca8", "#3a8f4d", "#d1701f", "#7a3b8f", "#b03a2e", "#7a7a7a", "#c9a227", "#111111")


def draw(report: dict[str, Any], path: Path) -> None:
    figure = Figure(figsize=(13, 8), layout="constrained")
    (metric, norm), (total, ends) = figure.subplots(2, 2)
    _metrics(metric, report)
    _norms(norm, report)
    _sums(total, report)
    _ends(ends, report)
    save(figure, path)


def _metrics(axes: Axes, report: dict[str, Any]) -> None:
    steps = [one["step"] for one in report["evaluations"]]
    axes.plot(steps, [one["psnr_y"] for one in report["evaluations"]], ".-", color=SHADES[0], label="no decay")
    decayed = report["decayed"]["evaluations"]
    where = [one["step"] for one in decayed]
    axes.plot(where, [one["psnr_y"] for one in decayed], color=SHADES[0], **_decay(report))
    axes.legend(fontsize=8, loc="center right")
    axes.set(ylabel="PSNR-Y, dB", title="Long run: validation and loss")
    loss, where = [one["loss"] for one in report["losses"]], [one["step"] for one in report["losses"]]
    beside = axes.twinx()
    beside.plot(where, loss, color=SHADES[5], alpha=0.6)
    beside.set_ylabel("training loss (grey)")
    _mark_starts(axes, report)


def _norms(axes: Axes, report: dict[str, Any]) -> None:
    steps = [look["step"] for look in report["looks"]]
    for shade, name, label in ((SHADES[0], "w_q", "|W_q|"), (SHADES[2], "w_k", "|W_k|")):
        axes.plot(steps, [look[name] for look in report["looks"]], "o-", markersize=4, color=shade, label=label)
        decayed = report["decayed"]["looks"]
        axes.plot([look["step"] for look in decayed], [look[name] for look in decayed], color=shade, **_decay(report))
    axes.set(ylabel="Frobenius norm, mean of the blocks", title="Long run: weights of queries and keys")
    axes.legend(fontsize=8)
    _mark_starts(axes, report)


def _sums(axes: Axes, report: dict[str, Any]) -> None:
    steps = [look["step"] for look in report["looks"]]
    for place, shade in zip(range(len(report["looks"][0]["sums"])), SHADES, strict=False):
        label = f"N = {report['looks'][0]['sums'][place]['tokens']:.0f}"
        values = [look["sums"][place]["denominator"] for look in report["looks"]]
        axes.semilogy(steps, values, "o-", markersize=4, color=shade, label=label)
        decayed = [(look["step"], look["sums"][place]["denominator"]) for look in report["decayed"]["looks"]]
        axes.semilogy(*zip(*decayed, strict=True), color=shade, **_decay(report))
    axes.axhline(FLOAT16_MAX, color="black", linestyle="--", linewidth=1, label="float16 ends")
    axes.set(xlabel="step", ylabel="largest bare denominator", title="Long run: φ(q) Σ φ(k), largest of all tokens")
    axes.legend(fontsize=8)
    _mark_starts(axes, report)


def _ends(axes: Axes, report: dict[str, Any]) -> None:
    """One mark a seed: where it met a number that is not finite, or hollow at the end if it met none."""
    starts = sorted({row["start"] for row in report["rows"]}, key=report["start_steps"].__getitem__)
    conditions = report["conditions"]
    for row in report["rows"]:
        number, start = conditions.index(row["condition"]), starts.index(row["start"])
        height = start + (number - (len(conditions) - 1) / 2) * 0.8 / len(conditions)
        ended, shade = row["first_non_finite"], SHADES[number % len(SHADES)]
        face = "none" if ended is None else shade
        axes.plot([ended or report["tuning_steps"]], [height], "o", markersize=6, markerfacecolor=face, color=shade)
    for number, condition in enumerate(conditions):
        axes.plot([], [], "o", color=SHADES[number % len(SHADES)], label=condition)
    axes.set_yticks(range(len(starts)), [f"{start}, {report['start_steps'][start]}" for start in starts])
    axes.set(xlabel="first iteration that is not finite (hollow: none)", title="Fine-tunings by start and condition")
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))


def _decay(report: dict[str, Any]) -> dict[str, Any]:
    """How lines of the second long run look."""
    return {"linestyle": "--", "linewidth": 1.2, "label": f"decay {report['decayed']['decay']:g}"}


def _mark_starts(axes: Axes, report: dict[str, Any]) -> None:
    for start, step in report["start_steps"].items():
        axes.axvline(step, color="black", linewidth=0.8, linestyle=":")
        axes.annotate(start, (step, 0.02), xycoords=("data", "axes fraction"), rotation=90, fontsize=8, ha="right")
    axes.grid(alpha=0.25)
