"""Transforms whose outcome is kept: the same samples, made once."""

import os
from itertools import islice
from pathlib import Path

import pytest
import torch
from mmcv.transforms import BaseTransform
from torch.utils.data import DataLoader

from linearsr.core.data import Cached, DrawSampler, HRFolder, write_image
from linearsr.core.data.cache_upkeep import fill_cache, verify_cache
from linearsr.core.data.samplers import DrawIndex
from linearsr.core.errors import ConfigError, DataError
from linearsr.core.registries import TRANSFORMS
from tests.core.data.conftest import cut_short, picture

HERE = "tests.core.data.test_cached"
DEGRADE = [{"type": "BicubicDegradation", "scale": 4}]
made = 0


class NoisyLR(BaseTransform):
    """An LR that depends on the seed, and a count of how often it was made."""

    def transform(self, results: dict) -> dict:
        global made
        made += 1
        noise = torch.rand(3, 10, 12, generator=torch.Generator().manual_seed(results["seed"]))
        return results | {"lr": (255 * noise).round() / 255}


NOISY = [{"type": f"{HERE}.NoisyLR"}]


@pytest.fixture(autouse=True)
def counting() -> None:
    global made
    made = 0


def sample(hr: torch.Tensor, **more: object) -> dict:
    return {"name": "x", "dataset": "d", "hr": hr, **more}


def on_grid(seed: int) -> torch.Tensor:
    return (255 * picture(seed)).round() / 255


def test_a_cached_transform_gives_what_the_transform_gives_first_and_later(tmp_path: Path, photos: Path) -> None:
    load, crop = {"type": "LoadPictures"}, {"type": "RandomCrop", "size": 16, "scale": 4}
    cached = {"type": "Cached", "folder": str(tmp_path / "cache"), "transforms": DEGRADE}
    plain = HRFolder(str(photos), [load, *DEGRADE, crop])
    for _ in range(2):
        for options in ({}, {"cache": True}):
            kept = HRFolder(str(photos), [{**load, **options}, cached, crop])
            for draw in (DrawIndex(0, 5), DrawIndex(4, 6)):
                assert torch.equal(kept[draw]["lr"], plain[draw]["lr"])
                assert torch.equal(kept[draw]["hr"], plain[draw]["hr"])
    assert len(list((tmp_path / "cache").glob("*/*"))) == 2  # held at 8 bits or not, a picture is the same


def test_pictures_on_the_8_bit_grid_take_a_byte_a_value_and_others_keep_their_bits(tmp_path: Path) -> None:
    cached = Cached(str(tmp_path), NOISY, variants=1)
    cached(sample(on_grid(0)))
    [path] = tmp_path.glob("*/*.safetensors")
    assert path.stat().st_size < 3 * 10 * 12 + 400  # 400: the header
    other = Cached(str(tmp_path), [{"type": f"{HERE}.HalfPicture"}], keys=["hr"])
    first, again = (other(sample(picture(0)))["hr"] for _ in range(2))
    assert torch.equal(first, picture(0) / 2)
    assert torch.equal(again, first)


class HalfPicture(BaseTransform):
    def transform(self, results: dict) -> dict:
        return results | {"hr": results["hr"] / 2}


def test_variants_are_frozen_degradations_chosen_by_the_draw(tmp_path: Path) -> None:
    cached = Cached(str(tmp_path), NOISY, variants=3)
    drawn = [cached(sample(on_grid(0), seed=seed))["lr"] for seed in range(60)]
    assert made == 3
    different = {tuple(lr.flatten().tolist()) for lr in drawn}
    assert len(different) == 3
    assert torch.equal(cached(sample(on_grid(0), seed=7))["lr"], drawn[7])
    other = cached(sample(on_grid(1), seed=7))["lr"]
    assert tuple(other.flatten().tolist()) not in different  # seeds come from the content
    assert cached(sample(on_grid(0), seed=7))["seed"] == 7


def test_real_degradations_are_frozen_for_any_number_of_workers(tmp_path: Path, photos: Path) -> None:
    degrade = [{"type": "RealESRGANDegradation", "scale": 4, "preset": "SeeSRPaired"}]
    cached = {"type": "Cached", "folder": str(tmp_path / "c"), "transforms": degrade, "variants": 2}
    dataset = HRFolder(str(photos), [{"type": "LoadPictures"}, cached])
    loader = DataLoader(dataset, 3, sampler=DrawSampler(dataset, seed=1), num_workers=2, collate_fn=list)
    drawn = [sample for batch in islice(loader, 10) for sample in batch]
    assert len(list((tmp_path / "c").glob("*/*.safetensors"))) == len({lr_bits(sample) for sample in drawn}) == 12
    for sample in drawn:
        again = dataset[DrawIndex(int(sample["name"][1]), sample["seed"])]
        assert torch.equal(again["lr"], sample["lr"])


def lr_bits(sample: dict) -> bytes:
    return sample["lr"].numpy().tobytes()


def test_without_a_seed_as_in_validation_it_is_always_the_first_variant(tmp_path: Path) -> None:
    three, one = (Cached(str(tmp_path / str(count)), NOISY, variants=count) for count in (3, 1))
    first = three(sample(on_grid(0)))["lr"]
    assert torch.equal(first, three(sample(on_grid(0)))["lr"])
    assert torch.equal(first, one(sample(on_grid(0), seed=123))["lr"])


def test_a_damaged_entry_is_made_again(tmp_path: Path) -> None:
    cached = Cached(str(tmp_path), NOISY, variants=1)
    want = cached(sample(on_grid(0)))["lr"]
    cut_short(tmp_path.glob("*/*.safetensors"))
    assert torch.equal(cached(sample(on_grid(0)))["lr"], want)
    assert made == 2
    cached(sample(on_grid(0)))
    assert made == 2
    assert verify_cache(tmp_path) == []


def test_other_settings_are_other_entries(tmp_path: Path) -> None:
    for scale in (2, 4):
        cached = Cached(str(tmp_path), [{"type": "BicubicDegradation", "scale": scale}])
        assert cached(sample(on_grid(0)))["lr"].shape == (3, 40 // scale, 48 // scale)


@pytest.mark.parametrize(
    ("transforms", "keys", "results", "message"),
    [
        ([{"type": "RandomFlipRotate"}], ["hr"], {}, "RandomFlipRotate draws at random; .*variants to a Cached around it"),
        ([{"type": "CropToMultiple", "scale": 32}, *DEGRADE], ["lr"], {}, "change hr, which its keys do not name"),
        (DEGRADE, ["lr", "latent"], {}, "make no latent"),
        (DEGRADE, ["lr"], {"drawn_by": "RandomCrop"}, "RandomCrop draws before Cached"),
    ],
)
def test_what_cannot_be_kept_is_refused(tmp_path: Path, transforms, keys, results: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Cached(str(tmp_path), transforms, keys)(sample(on_grid(0), **results))
    assert list(tmp_path.iterdir()) == []


def test_a_crop_before_cached_is_refused_in_a_pipeline(tmp_path: Path, photos: Path) -> None:
    steps = [{"type": "LoadPictures"}, {"type": "RandomCrop", "size": 16, "scale": 4}]
    dataset = HRFolder(str(photos), [*steps, {"type": "Cached", "folder": str(tmp_path / "c"), "transforms": DEGRADE}])
    with pytest.raises(ConfigError, match="RandomCrop draws before Cached"):
        dataset[DrawIndex(0, 0)]


def test_options_are_checked_before_a_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="variants is 0"):
        Cached(str(tmp_path), DEGRADE, variants=0)
    with pytest.raises(ConfigError, match="cannot be a cache's key"):
        Cached(str(tmp_path), [{"type": "BicubicDegradation", "scale": object()}])
    with pytest.raises(ConfigError, match="found no picture"):
        Cached(str(tmp_path), DEGRADE)({"name": "x", "dataset": "d"})


CONFIG = """
_pipeline = [dict(type="LoadPictures"), dict(type="Cached", folder="{cache}", variants={variants}, transforms=[
    dict(type="{transform}")]), dict(type="RandomCrop", size=16, scale=4)]
train_dataloader = dict(batch_size=2, sampler=dict(type="DrawSampler"),
    dataset=dict(type="HRFolder", root="{photos}", pipeline=_pipeline))
train_cfg = dict(max_iters=1)
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.1))
"""


@pytest.mark.parametrize("workers", [0, 2])
def test_a_cache_is_filled_before_a_run_for_any_number_of_workers(tmp_path: Path, photos: Path, workers: int) -> None:
    config = tmp_path / "config.py"
    text = CONFIG.format(cache=tmp_path / "cache", photos=photos, variants=2, transform=f"{HERE}.NoisyLR")
    config.write_text(text)
    (photos / "p2.png").write_text("no picture")
    assert fill_cache(config, make=False).absent == 10
    filled = fill_cache(config, workers=workers)
    assert (filled.absent, filled.present) == (10, 0)
    assert len(filled.unreadable) == 1
    assert "p2.png" in filled.unreadable[0]
    again = fill_cache(config, workers=workers)
    assert (again.absent, again.present) == (0, 10)
    before = made
    steps = [
        {"type": "LoadPictures"},
        {"type": "Cached", "folder": str(tmp_path / "cache"), "transforms": NOISY, "variants": 2},
    ]
    dataset = HRFolder(str(photos), steps)
    for seed in range(20):
        dataset[DrawIndex(seed % 6, seed)]
    assert made == before  # training finds all that was made before


@pytest.mark.parametrize(("count", "message"), [(0, "there is nothing to cache"), (2, "has 2 Cached; put their transforms")])
def test_a_config_without_or_with_two_caches_is_refused(tmp_path: Path, photos: Path, count: int, message: str) -> None:
    cached = {"type": "Cached", "folder": str(tmp_path / "c"), "transforms": DEGRADE}
    dataset = {"type": "HRFolder", "root": str(photos), "pipeline": [{"type": "LoadPictures"}, *[cached] * count]}
    (tmp_path / "config.py").write_text(
        f"train_dataloader = dict(dataset={dataset!r})\n"
        "train_cfg = dict(max_iters=1)\n"
        "optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1))\n"
    )
    with pytest.raises(ConfigError, match=message):
        fill_cache(tmp_path / "config.py")


def test_verify_names_and_deletes_what_is_damaged_and_leaves_the_rest(tmp_path: Path) -> None:
    cached = Cached(str(tmp_path), NOISY, variants=4)
    cached.fill(sample(on_grid(0)), make=True)
    first, *others = sorted(tmp_path.glob("*/*.safetensors"))
    assert verify_cache(tmp_path) == []
    cut_short([first])
    abandoned, busy = first.with_name(".tmp-a.part"), first.with_name(".tmp-b.part")
    for part in (abandoned, busy):
        part.touch()
    os.utime(abandoned, (0, 0))
    [wrong] = verify_cache(tmp_path)
    assert str(first) in wrong
    assert first.exists()
    assert len(verify_cache(tmp_path, delete=True)) == 1
    assert sorted(tmp_path.glob("*/*.safetensors")) == others
    assert busy.exists()
    assert not abandoned.exists()
    assert verify_cache(tmp_path) == []
    with pytest.raises(DataError, match="gone is no folder"):
        verify_cache(tmp_path / "gone")


def test_a_cache_holds_any_tensor_such_as_a_latent(tmp_path: Path) -> None:
    class Encode(BaseTransform):
        def transform(self, results: dict) -> dict:
            return results | {"latent": results["hr"].bfloat16() * 7}

    TRANSFORMS.register_module(module=Encode, name="EncodeForThisTest")
    try:
        cached = Cached(str(tmp_path), [{"type": "EncodeForThisTest"}], keys=["latent"])
        first, again = (cached(sample(picture(0)))["latent"] for _ in range(2))
    finally:
        TRANSFORMS._module_dict.pop("EncodeForThisTest")
    assert again.dtype == torch.bfloat16
    assert torch.equal(first, again)
    assert torch.equal(again, picture(0).bfloat16() * 7)


def test_the_same_picture_in_another_file_is_the_same_entry(tmp_path: Path, photos: Path) -> None:
    write_image(tmp_path / "copy" / "other.bmp", picture(0))
    steps = [{"type": "LoadPictures"}, {"type": "Cached", "folder": str(tmp_path / "c"), "transforms": NOISY, "variants": 1}]
    for root in (photos, tmp_path / "copy"):
        HRFolder(str(root), steps)[0]
    assert made == 1
