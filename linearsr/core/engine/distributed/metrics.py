"""Metrics of others over several ranks."""

from __future__ import annotations

from typing import TypeVar

from mmengine.evaluator import BaseMetric

M = TypeVar("M")


def gather_in_memory(metrics: list[M]) -> list[M]:
    """mmengine sends results between ranks through a folder .dist_test that it leaves in the current one. Through the process
    group, which it calls "gpu" and which is gloo's memory on a CPU, they need no folder that all machines share."""
    for metric in metrics:
        if isinstance(metric, BaseMetric) and metric.collect_dir is None:
            metric.collect_device = "gpu"
    return metrics
