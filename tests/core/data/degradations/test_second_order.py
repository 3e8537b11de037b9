"""The whole pipeline: sizes, levels, seeds and the order of its steps."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from linearsr.core.data import BundledPhotos, DrawSampler, RealESRGANDegradation, collate_pictures
from linearsr.core.data.degradations import (
    PRESETS,
    Blur,
    Noise,
    Settings,
    Shrink,
    Stage,
    degrade,
    draw_settings,
    preset,
    second_order,
)
from linearsr.core.errors import ConfigError, ShapeError
from linearsr.core.randomness import mix_seed, numpy_generator
from tests.strategies import seeds


@given(seeds, st.sampled_from(sorted(PRESETS)), st.integers(1, 3), st.integers(1, 9), st.integers(1, 9))
def test_the_size_is_exact_and_every_value_is_a_level_in_0_to_1(seed, name, scale, rows, columns) -> None:
    hr = torch.rand(3, rows * scale, columns * scale, generator=torch.Generator().manual_seed(seed % 2**63))
    before = hr.clone()
    generator = np.random.default_rng(seed)
    lr = degrade(hr, draw_settings(PRESETS[name], generator), scale, generator)
    assert lr.shape == (3, rows, columns)
    assert lr.dtype == torch.float32
    assert 0 <= lr.min() <= lr.max() <= 1
    assert torch.equal(lr, (lr * 255).round() / 255)
    assert torch.equal(hr, before)


def settings(jpeg_last: bool = False, blurred: bool = True) -> Settings:
    """Every step's parameters differ from those of its like."""
    first = Stage(Blur("iso", 7), Shrink(0.5, "area"), Noise("gaussian", 3.0, False), 80)
    second = Stage(Blur("iso", 9) if blurred else None, Shrink(1.0, "bilinear"), Noise("poisson", 0.5, True), 70)
    return Settings(first, second, "bicubic", Blur("sinc", 11, cutoff=2.0), jpeg_last)


@pytest.mark.parametrize(
    ("drawn", "order"),
    [
        (settings(), "blur7 area gaussian3 jpeg80 | blur9 bilinear poisson0.5 | jpeg70 bicubic blur11"),
        (settings(jpeg_last=True), "blur7 area gaussian3 jpeg80 | blur9 bilinear poisson0.5 | bicubic blur11 jpeg70"),
        (settings(blurred=False), "blur7 area gaussian3 jpeg80 | bilinear poisson0.5 | jpeg70 bicubic blur11"),
    ],
)
def test_the_order_of_the_steps_is_the_papers(drawn: Settings, order: str, monkeypatch: pytest.MonkeyPatch) -> None:
    done = []

    def note(step, told) -> None:
        original = getattr(second_order, step)

        def noted(picture, *arguments):
            done.append(told(*arguments))
            return original(picture, *arguments)

        monkeypatch.setattr(second_order, step, noted)

    note("blur", lambda kernel: f"blur{len(kernel)}")
    note("resize", lambda size, mode: mode)
    note("jpeg", lambda quality: f"jpeg{quality}")
    note("add_gaussian_noise", lambda level, grey, generator: f"gaussian{level:g}")
    note("add_poisson_noise", lambda level, grey, generator: f"poisson{level:g}")
    degrade(torch.rand(3, 32, 32), drawn, 4, np.random.default_rng(0))
    assert done == order.replace("| ", "").split()


def test_the_second_resize_is_of_the_lrs_side(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    original = second_order.resize

    def noted(picture, size, mode):
        sizes.append(size)
        return original(picture, size, mode)

    monkeypatch.setattr(second_order, "resize", noted)
    degrade(torch.rand(3, 40, 80), settings(), 4, np.random.default_rng(0))
    assert sizes == [(20, 40), (10, 20), (10, 20)]


@pytest.mark.parametrize(
    "hr", [torch.rand(3, 10, 8), torch.rand(1, 8, 8), torch.rand(1, 3, 8, 8), torch.rand(3, 0, 8), torch.ones(3, 8, 8).byte()]
)
def test_another_shape_is_refused(hr: torch.Tensor) -> None:
    with pytest.raises(ShapeError, match="wanted a float"):
        degrade(hr, settings(), 4, np.random.default_rng(0))


def test_a_scale_below_one_is_refused_where_it_is_written() -> None:
    with pytest.raises(ConfigError, match="scale is 0"):
        RealESRGANDegradation(scale=0)
    with pytest.raises(ShapeError, match="scale is 0"):
        degrade(torch.rand(3, 8, 8), settings(), 0, np.random.default_rng(0))


def test_the_transform_draws_from_the_samples_own_seed() -> None:
    hr = torch.rand(3, 32, 32)
    transform = RealESRGANDegradation(preset="SeeSR")
    one, again, other = (transform({"hr": hr, "seed": seed})["lr"] for seed in (5, 5, 6))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    with pytest.raises(ConfigError, match="DrawSampler"):
        transform({"hr": hr})


def test_the_transform_has_a_stream_of_its_own_and_hands_on_scale_and_overrides() -> None:
    """1 and 2 are the streams of RandomCrop and RandomFlipRotate: draws of one must not tell those of another."""
    hr = torch.rand(3, 32, 32)
    changed = {"final_sinc": 0.0}
    lr = RealESRGANDegradation(scale=2, preset="SeeSR", overrides=changed)({"hr": hr, "seed": 5})["lr"]
    generator = numpy_generator(mix_seed(5, 3))
    assert torch.equal(lr, degrade(hr, draw_settings(preset("SeeSR", changed), generator), 2, generator))


def test_any_number_of_workers_makes_the_same_pictures() -> None:
    pipeline = [
        {"type": "LoadPictures"},
        {"type": "RandomCrop", "size": 64, "scale": 4},
        {"type": "RealESRGANDegradation", "scale": 4, "preset": "StableSR"},
    ]
    photos = BundledPhotos("held_out", pipeline)

    def batches(workers: int) -> list[torch.Tensor]:
        loader = DataLoader(
            photos, 2, sampler=DrawSampler(photos, seed=3), num_workers=workers, collate_fn=collate_pictures,
            multiprocessing_context="fork" if workers else None,
        )  # fmt: skip
        stream = iter(loader)
        return [next(stream)["lr"] for _ in range(4)]

    assert all(torch.equal(one, other) for one, other in zip(batches(0), batches(2), strict=True))
