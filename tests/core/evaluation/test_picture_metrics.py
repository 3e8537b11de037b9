"""PictureMetrics: what is measured, how it is averaged and under which names it comes out."""

import math

import pytest
import torch

from linearsr.core.data.images import list_images, read_image
from linearsr.core.errors import ConfigError, DataError, ShapeError, WeightsError
from linearsr.core.evaluation import PictureMetrics, psnr, ssim
from linearsr.core.pixels import round_to_8bit
from linearsr.core.registries import METRICS
from linearsr.core.resampling import resize_bicubic


def sample(name: str, dataset: str = "A", num_steps: int = 1, noise: float = 0.1, side: int = 32, **changes):
    """A data sample whose picture depends on its name alone; `noise` sets how good the restored one is."""
    generator = torch.Generator().manual_seed(sum(map(ord, name)))
    hr = round_to_8bit(torch.rand(3, side, side, generator=generator))
    lr = round_to_8bit(resize_bicubic(hr[None], (side // 4, side // 4))[0])
    sr = hr + noise * torch.randn(hr.shape, generator=generator)
    return {
        "name": name, "dataset": dataset, "sr": sr, "hr": hr, "lr": lr, "num_steps": num_steps, "seconds": 0.1 * num_steps,
    } | changes  # fmt: skip


def evaluated(samples, size, **options):
    metric = PictureMetrics(**{"crop_border": 4} | options)
    metric.process(None, samples)
    return metric, metric.evaluate(size)


def test_measures_ours_and_bicubic_at_8_bits_with_the_given_border():
    one = sample("one")
    metric, flat = evaluated([one], 1, metrics=["psnr_y", "psnr_rgb", "ssim_y", "ssim_rgb"], crop_border=3)
    sr = round_to_8bit(one["sr"])
    bicubic = round_to_8bit(resize_bicubic(one["lr"][None], (32, 32))[0])
    for name, figure in {"psnr": psnr, "ssim": ssim}.items():
        for channel in ("y", "rgb"):
            key, options = f"{name}_{channel}", {"channel": channel, "crop_border": 3}
            assert flat[key] == flat[f"A/{key}@1"] == figure(sr, one["hr"], **options)
            assert flat[f"bicubic/{key}"] == flat[f"bicubic/A/{key}"] == figure(bicubic, one["hr"], **options)
    assert [row["crop_border"] for row in metric.rows] == [3, 3]


def test_averages_over_pictures_per_dataset_and_over_all_of_them():
    samples = [sample("one"), sample("two"), sample("three", "B")]
    _, flat = evaluated(samples, 3)
    single = [evaluated([s], 1)[1]["psnr_y"] for s in samples]
    assert flat["A/psnr_y@1"] == pytest.approx(sum(single[:2]) / 2, abs=1e-12)
    assert flat["B/psnr_y@1"] == single[2]
    assert flat["psnr_y"] == pytest.approx(sum(single) / 3, abs=1e-12)  # of pictures, not of data sets


def test_rows_tell_dataset_method_steps_and_what_was_measured():
    samples = [sample(name, dataset, steps) for dataset, name in (("A", "one"), ("B", "two")) for steps in (1, 4)]
    metric, _ = evaluated(samples, 2)
    assert [(row["dataset"], row["method"], row["num_steps"]) for row in metric.rows] == [
        ("A", "bicubic", None), ("A", "model", 1), ("A", "model", 4),
        ("B", "bicubic", None), ("B", "model", 1), ("B", "model", 4),
    ]  # fmt: skip
    model = metric.rows[2]
    assert model["seconds_per_image"] == pytest.approx(0.4)
    assert model["num_images"] == 1
    assert model["num_measured"] == {"psnr_y": 1, "ssim_y": 1}
    assert model["niqe"] is None
    assert metric.rows[0]["seconds_per_image"] is None


def test_the_plain_name_is_that_of_the_first_number_of_steps():
    samples = [sample(name, num_steps=steps, noise=steps / 50) for name in ("one", "two") for steps in (4, 1)]
    _, flat = evaluated(samples, 2)
    assert flat["psnr_y"] == flat["A/psnr_y@4"] < flat["A/psnr_y@1"]


def test_two_pictures_of_one_name_stay_two():
    metric, flat = evaluated([sample("one"), sample("one", noise=0.3)], 2)
    assert metric.rows[1]["num_images"] == 2
    assert flat["psnr_y"] < evaluated([sample("one")], 1)[1]["psnr_y"]


def test_without_hr_only_niqe_is_defined(data_root):
    params = str(data_root / "weights" / "niqe_pris_params.npz")
    samples = [sample("large", side=200, hr=None), sample("small", side=32, hr=None)]
    metric, flat = evaluated(samples, 2, metrics=["psnr_y", "niqe"], niqe_params=params, crop_border=0)
    assert sorted(flat) == ["A/niqe@1", "bicubic/A/niqe", "bicubic/niqe", "niqe"]
    assert metric.rows[1]["psnr_y"] is None
    assert metric.rows[1]["num_measured"] == {"psnr_y": 0, "niqe": 1}  # the small one has no two blocks
    assert flat["niqe"] > 0


def test_a_broken_picture_shows_as_nan_and_is_not_left_out():
    broken = sample("one")
    broken["sr"][0, 16, 16] = torch.nan
    _, flat = evaluated([broken, sample("two")], 2)
    assert math.isnan(flat["psnr_y"])
    assert math.isfinite(flat["bicubic/psnr_y"])


def test_a_perfect_picture_has_infinite_psnr():
    assert evaluated([sample("one", noise=0)], 1)[1]["psnr_y"] == math.inf


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"metrics": ["psnry"]}, ConfigError, "'psnry'; did you mean 'psnr_y'.*ssim_rgb, niqe"),
        ({"metrics": "psnr_y"}, ConfigError, "wanted a list"),
        ({"metrics": []}, ConfigError, "wanted a list"),
        ({"metrics": ["niqe"]}, ConfigError, "set both"),
        ({"niqe_params": "x.npz"}, ConfigError, "set both"),
        ({"metrics": ["niqe"], "niqe_params": "gone.npz"}, WeightsError, "gone.npz"),
        ({"crop_border": -1}, ConfigError, "crop_border=-1"),
    ],
)
def test_wrong_options_are_refused_before_anything_runs(options, error, words):
    with pytest.raises(error, match=words):
        PictureMetrics(**{"crop_border": 4} | options)


def test_the_border_has_no_default():
    with pytest.raises(ConfigError, match="crop_border"):
        METRICS.build({"type": "PictureMetrics"})


def test_a_sample_that_does_not_fit_is_named():
    metric = PictureMetrics(crop_border=4)
    with pytest.raises(ShapeError, match=r"A/one: sr is \[3, 28, 32\] and hr \[3, 32, 32\]"):
        metric.process(None, [sample("one", sr=torch.rand(3, 28, 32))])
    incomplete = sample("one")
    del incomplete["lr"], incomplete["seconds"]
    with pytest.raises(DataError, match="lacks lr, seconds"):
        metric.process(None, [incomplete])


@pytest.mark.parametrize(("dataset", "want"), [("Set5", 28.43), ("Set14", 26.09)])
def test_bicubic_reads_the_known_figure(data_root, dataset, want):
    metric = PictureMetrics(metrics=["psnr_y"], crop_border=4)
    folders = (data_root / "eval" / dataset / name for name in ("HR", "LRx4"))
    for hr_path, lr_path in zip(*map(list_images, folders), strict=True):
        hr, lr = read_image(hr_path), read_image(lr_path)
        found = {"name": hr_path.stem, "dataset": dataset, "sr": hr, "hr": hr, "lr": lr, "num_steps": 1, "seconds": 0.0}
        metric.process(None, [found])
    flat = metric.evaluate(len(metric.results))
    assert flat["bicubic/psnr_y"] == pytest.approx(want, abs=0.02)
