"""Every registered metric keeps the contract of the loops, and the check finds those that do not."""

import pytest
import torch
from mmengine.evaluator import BaseMetric

from linearsr.core.evaluation.conformance import check_metric
from linearsr.core.registries import METRICS

OPTIONS = {"PictureMetrics": {"metrics": ["psnr_y", "ssim_y", "psnr_rgb", "ssim_rgb"], "crop_border": 4}}
"""Keys that a metric needs; a new one without required keys needs no entry."""


@pytest.mark.parametrize("name", METRICS.own())
def test_conforms(name):
    check_metric(lambda: METRICS.build({"type": name} | OPTIONS.get(name, {}))).require()


class Mean(BaseMetric):
    """Conforms: one number per picture."""

    default_prefix = ""

    def process(self, data_batch, data_samples):
        for sample in data_samples:
            for entry in self.results:
                if entry["name"] == sample["name"]:
                    entry["values"].append(sample["sr"].mean().item())
                    break
            else:
                self.results.append({"name": sample["name"], "values": [sample["sr"].mean().item()]})

    def compute_metrics(self, results):
        values = [value for entry in results for value in entry["values"]]
        return {"mean": sum(values) / len(values)}


class EntryPerStep(Mean):
    def process(self, data_batch, data_samples):
        self.results += [{"name": s["name"], "values": [s["sr"].mean().item()]} for s in data_samples]


class KeepsTensors(Mean):
    def process(self, data_batch, data_samples):
        super().process(data_batch, data_samples)
        self.results[0]["picture"] = torch.zeros(1)


class BatchMean(Mean):
    def process(self, data_batch, data_samples):
        super().process(data_batch, data_samples)
        self.results[-1]["values"][-1] += 0.1 * len(data_samples) ** 2


class NeedsHR(Mean):
    def process(self, data_batch, data_samples):
        super().process(data_batch, data_samples)
        for sample in data_samples:
            sample["hr"].mean()


class Remembers(Mean):
    seen = 0

    def compute_metrics(self, results):
        self.seen += len(results)
        return {"mean": super().compute_metrics(results)["mean"] + self.seen}


class ReturnsText(Mean):
    def compute_metrics(self, results):
        return {"mean": "high"}


@pytest.mark.parametrize(
    ("metric", "law"),
    [
        (EntryPerStep, "one entry of results per picture"),
        (KeepsTensors, "entries are plain and survive pickling"),
        (BatchMean, "batching changes no figure"),
        (NeedsHR, "a picture without HR is no error"),
        (Remembers, "nothing is left over from the evaluation before"),
        (ReturnsText, "figures are numbers under flat names"),
    ],
)
def test_the_check_finds_what_is_broken(metric, law):
    assert law in [finding.law for finding in check_metric(metric).failed]


def test_the_check_passes_a_plain_metric_of_a_third_party():
    check_metric(Mean).require()
