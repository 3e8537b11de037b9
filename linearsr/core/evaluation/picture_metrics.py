"""The metric of the validation and test loops: our pictures and bicubic ones, measured by the same functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.dist import all_gather_object
from mmengine.evaluator import BaseMetric
from torch import Tensor

from linearsr.core.errors import ConfigError, DataError, ShapeError
from linearsr.core.evaluation.gathering import one_per_picture
from linearsr.core.evaluation.measures import Measure, measures_named
from linearsr.core.evaluation.summary import PictureResult, Row, flat_figures, summarise
from linearsr.core.pixels import round_to_8bit
from linearsr.core.registries import METRICS
from linearsr.core.resampling import resize_bicubic

SAMPLE_KEYS = ("name", "dataset", "sr", "hr", "lr", "num_steps", "seconds")


@METRICS.register_module()
class PictureMetrics(BaseMetric):
    """Figures per data set and number of steps, of the model ("sr") and of bicubic upsampling of the LR picture.

    metrics:     any of psnr_y, psnr_rgb, ssim_y, ssim_rgb, niqe
    crop_border: pixels cut off each side before measuring; the classical protocol takes the scale, RealSR's takes 0
    niqe_params: path of `niqe_pris_params.npz`, needed by "niqe"

    All pictures are clamped and rounded to 8 bits first, so the figures are those of the PNG files.
    A data sample is a dict(name, dataset, sr [3, H, W], hr [3, H, W] | None, lr [3, h, w], num_steps, seconds), image_01
    on the CPU; without hr only niqe is defined. A picture may come once per num_steps.

    `rows` holds one dict per data set, method and number of steps after `evaluate`, on every rank.
    """

    default_prefix = ""  # so that the keys are "psnr_y", and mmengine does not warn of a missing prefix

    def __init__(
        self,
        *,
        metrics: Sequence[str] = ("psnr_y", "ssim_y"),
        crop_border: int,
        niqe_params: str | None = None,
        prefix: str | None = None,
    ):
        super().__init__(prefix=prefix)
        if isinstance(metrics, str) or not metrics:
            raise ConfigError(f'metrics={metrics!r}; wanted a list of names, such as ["psnr_y"]')
        if crop_border < 0:
            raise ConfigError(f"crop_border={crop_border}; wanted 0 or more pixels")
        self.crop_border = crop_border
        self.measures: dict[str, Measure] = measures_named(metrics, crop_border=crop_border, niqe_params=niqe_params)
        self.rows: list[Row] = []

    def process(self, data_batch: Any, data_samples: Sequence[Mapping[str, Any]]) -> None:
        """Measures at once and keeps figures only. Raises DataError or ShapeError, which name the picture."""
        for sample in data_samples:
            missing = [key for key in SAMPLE_KEYS if key not in sample]
            if missing:
                raise DataError(f"a data sample lacks {', '.join(missing)}; wanted {', '.join(SAMPLE_KEYS)}")
            sr, hr, lr = sample["sr"], sample["hr"], sample["lr"]
            if hr is not None and sr.shape != hr.shape:
                where = f"{sample['dataset']}/{sample['name']}"
                raise ShapeError(f"{where}: sr is {list(sr.shape)} and hr {list(hr.shape)}; wanted one size")
            result = self._result_of(sample["dataset"], sample["name"], sample["num_steps"])
            if not result["bicubic"]:
                result["bicubic"] = self._measure(resize_bicubic(lr[None], sr.shape[-2:])[0], hr)
            result["model"][sample["num_steps"]] = self._measure(sr, hr) | {"seconds": float(sample["seconds"])}

    def evaluate(self, size: int) -> dict[str, float]:
        """size: of the data set. The figures of all ranks' pictures, the same on every rank, which all must call it.

        mmengine's own would cut what was gathered to `size` entries, in the order in which they happened to come.
        """
        results = one_per_picture(all_gather_object(self.results), size)
        self.results.clear()
        figures = self.compute_metrics(results)
        return {f"{self.prefix}/{name}" if self.prefix else name: value for name, value in figures.items()}

    def compute_metrics(self, results: list[PictureResult]) -> dict[str, float]:
        """Fills `rows`; returns the flat figures that the logger and the knee detector read (see `flat_figures`)."""
        self.rows = summarise(results, list(self.measures), self.crop_border)
        return flat_figures(results, list(self.measures))

    def _measure(self, picture: Tensor, hr: Tensor | None) -> dict[str, float | None]:
        levels = round_to_8bit(picture)
        levels_hr = None if hr is None else round_to_8bit(hr)
        return {name: measure(levels, levels_hr) for name, measure in self.measures.items()}

    def _result_of(self, dataset: str, name: str, num_steps: int) -> PictureResult:
        """The picture's one entry in `results`: mmengine keeps as many entries as the data set has items, and no more."""
        for result in reversed(self.results):
            if (result["dataset"], result["name"]) == (dataset, name) and num_steps not in result["model"]:
                return result
        self.results.append(PictureResult(dataset=dataset, name=name, bicubic={}, model={}))
        return self.results[-1]
