"""Datasets, samplers and transforms: which pictures, in which order, cut and degraded how."""

import pickle
from itertools import islice
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from linearsr.core.data import (
    BicubicDegradation,
    BundledPhotos,
    CropToMultiple,
    DrawSampler,
    HRFolder,
    JoinedDatasets,
    LoadPictures,
    LRFolder,
    PairedFolders,
    RandomCrop,
    RandomFlipRotate,
    collate_pictures,
    degrade_bicubic,
    write_image,
)  # fmt: skip
from linearsr.core.data.file_checks import check_files
from linearsr.core.data.samplers import DrawIndex
from linearsr.core.errors import ConfigError, DataError
from tests import strategies

TRAIN = [
    {"type": "LoadPictures", "cache": True},
    {"type": "RandomCrop", "size": 32, "scale": 4},
    {"type": "RandomFlipRotate"},
    {"type": "BicubicDegradation", "scale": 4},
]
WHOLE = [{"type": "LoadPictures"}]


def picture(seed: int, height: int = 40, width: int = 48) -> torch.Tensor:
    return torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for index in range(5):
        write_image(tmp_path / "hr" / f"p{index}.png", picture(index))
    return tmp_path


def draws(dataset: HRFolder, workers: int, batch: int, count: int) -> list[dict]:
    loader = DataLoader(dataset, batch, sampler=DrawSampler(dataset, seed=3), num_workers=workers, collate_fn=collate_pictures)
    return list(islice(loader, count))


def test_training_samples_do_not_depend_on_the_number_of_workers(folder: Path) -> None:
    dataset = HRFolder(str(folder / "hr"), TRAIN)
    for alone, shared in zip(draws(dataset, 0, 2, 4), draws(dataset, 2, 2, 4), strict=True):
        assert alone["names"] == shared["names"]
        assert alone["seeds"] == shared["seeds"]
        assert torch.equal(alone["hr"], shared["hr"])
        assert torch.equal(alone["lr"], shared["lr"])


def test_each_epoch_shows_every_picture_once_in_a_new_order_with_new_seeds() -> None:
    stream = list(islice(DrawSampler(range(7), seed=0), 21))
    epochs = [stream[i : i + 7] for i in (0, 7, 14)]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert len({draw.seed for draw in stream}) == 21


def test_ranks_share_one_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = list(islice(DrawSampler(range(5), seed=1), 12))
    for rank in (0, 1, 2):
        monkeypatch.setattr("linearsr.core.data.samplers.get_dist_info", lambda rank=rank: (rank, 3))
        part = list(islice(DrawSampler(range(5), seed=1), 4))
        assert [(int(d), d.seed) for d in part] == [(int(d), d.seed) for d in whole[rank::3]]


def test_a_draw_keeps_its_seed_on_the_way_to_a_worker() -> None:
    draw = pickle.loads(pickle.dumps(DrawIndex(4, 99)))
    assert (int(draw), draw.seed) == (4, 99)


def test_a_sampler_without_seed_or_pictures_is_refused() -> None:
    with pytest.raises(ConfigError, match="randomness"):
        DrawSampler(range(3))
    with pytest.raises(DataError, match="empty"):
        DrawSampler([], seed=0)


def test_a_random_transform_without_draw_seed_names_the_sampler_to_set() -> None:
    with pytest.raises(ConfigError, match="RandomCrop draws at random; give its dataloader sampler"):
        RandomCrop(8, 4).transform({"hr": picture(0), "name": "x"})


@given(seed=strategies.seeds, scale=st.sampled_from([1, 2, 4]), cells=st.integers(1, 6))
def test_a_paired_crop_cuts_the_same_place_of_both(seed: int, scale: int, cells: int) -> None:
    lr = picture(seed % 1000, 10, 13)
    hr = lr.repeat_interleave(scale, -1).repeat_interleave(scale, -2)
    sample = RandomCrop(cells * scale, scale).transform({"hr": hr, "lr": lr, "seed": seed, "name": "x"})
    assert sample["lr"].shape[-2:] == (cells, cells)
    assert torch.equal(sample["hr"], sample["lr"].repeat_interleave(scale, -1).repeat_interleave(scale, -2))


def test_crops_reach_every_place() -> None:
    hr = torch.arange(36.0).reshape(1, 6, 6).expand(3, 6, 6) / 36
    corners = {RandomCrop(4, 4).transform({"hr": hr, "seed": s, "name": "x"})["hr"][0, 0, 0].item() for s in range(200)}
    assert len(corners) == 9


def test_a_crop_larger_than_the_picture_names_the_picture() -> None:
    with pytest.raises(DataError, match="tiny is 40×48, smaller than RandomCrop's size 64"):
        RandomCrop(64, 4).transform({"hr": picture(0), "seed": 0, "name": "tiny"})
    with pytest.raises(ConfigError, match="multiple of scale"):
        RandomCrop(30, 4)


def test_flips_reach_all_eight_symmetries_and_treat_both_pictures_alike() -> None:
    hr = picture(0, 8, 8)
    seen = set()
    for seed in range(100):
        sample = RandomFlipRotate().transform({"hr": hr, "lr": hr.clone(), "seed": seed})
        assert torch.equal(sample["hr"], sample["lr"])
        seen.add(tuple(sample["hr"].flatten().tolist()))
    assert len(seen) == 8


def test_crop_to_multiple_cuts_bottom_and_right() -> None:
    hr = picture(0, 41, 50)
    assert torch.equal(CropToMultiple(4).transform({"hr": hr, "name": "x"})["hr"], hr[:, :40, :48])
    with pytest.raises(DataError, match="smaller than the scale"):
        CropToMultiple(64).transform({"hr": hr, "name": "x"})


def test_degradation_of_a_sample_is_the_pure_function(folder: Path) -> None:
    hr = picture(1)
    assert torch.equal(BicubicDegradation(4).transform({"hr": hr})["lr"], degrade_bicubic(hr, 4))


def test_a_cached_picture_gives_the_same_crop(folder: Path) -> None:
    path = folder / "hr" / "p0.png"
    plain, cached = LoadPictures(), LoadPictures(cache=True)
    for load in (plain, cached, cached):
        sample = load.transform({"hr_path": path, "lr_path": None, "seed": 5, "name": "p0"})
        crop = RandomCrop(16, 4).transform(sample)["hr"]
        assert torch.equal(
            crop,
            RandomCrop(16, 4).transform(plain.transform({"hr_path": path, "lr_path": None, "seed": 5, "name": "p0"}))["hr"],
        )


def test_the_bundled_split_is_fixed_and_disjoint() -> None:
    train, held_out = BundledPhotos("train", WHOLE), BundledPhotos("held_out", WHOLE)
    names = {picture.name for picture in held_out.pictures}
    assert names == {"coffee", "chelsea", "flower"}
    assert len(train) == 14
    assert not names & {picture.name for picture in train.pictures}
    assert held_out[0]["hr"].shape == (3, 400, 600)
    with pytest.raises(ConfigError, match="no split 'tset'"):
        BundledPhotos("tset", WHOLE)


def test_pairs_are_made_by_name_and_what_is_alone_is_listed(folder: Path) -> None:
    for index in range(5):
        write_image(folder / "lr" / f"p{index}x4.png", picture(index, 10, 12))
    paired = PairedFolders(str(folder / "hr"), str(folder / "lr"), WHOLE, lr_suffix="x4", name="pairs")
    assert [p.name for p in paired.pictures] == [f"p{i}" for i in range(5)]
    assert paired[2]["lr"].shape == (3, 10, 12)
    (folder / "lr" / "p3x4.png").unlink()
    with pytest.raises(DataError, match=r"1 pictures of .* have no partner of the same name: .*p3\.png"):
        PairedFolders(str(folder / "hr"), str(folder / "lr"), WHOLE, lr_suffix="x4")


def test_several_folders_are_one_dataset_and_several_datasets_keep_their_names(folder: Path) -> None:
    root = str(folder / "hr")
    assert len(HRFolder([root, root], WHOLE)) == 10
    joined = JoinedDatasets([{"type": "HRFolder", "root": root, "pipeline": WHOLE, "name": name} for name in ("a", "b")])
    assert [joined[i]["dataset"] for i in (0, 9)] == ["a", "b"]
    assert "hr" not in LRFolder(root, WHOLE)[0]


def test_a_draw_keeps_its_seed_in_joined_datasets(folder: Path) -> None:
    parts = [{"type": "HRFolder", "root": str(folder / "hr"), "pipeline": TRAIN, "name": name} for name in ("a", "b")]
    joined = JoinedDatasets(parts)
    sample = joined[DrawIndex(7, 5)]
    assert (sample["dataset"], sample["name"], sample["seed"]) == ("b", "p2", 5)


def test_pictures_that_would_share_a_result_are_refused_before_a_test(folder: Path) -> None:
    write_image(folder / "hr" / "deep" / "p0.png", picture(9))
    apart = HRFolder(str(folder / "hr"), WHOLE)
    assert {p.name for p in apart.pictures} >= {"p0", "deep/p0"}
    check_files(apart, training=False)
    write_image(folder / "hr" / "p0.webp", picture(9))
    with pytest.raises(DataError, match=r"p0\.\w+ and .*p0\.\w+ would both be hr/p0"):
        check_files(HRFolder(str(folder / "hr"), WHOLE), training=False)
    twice = JoinedDatasets([{"type": "LRFolder", "root": str(folder / "hr" / "deep"), "pipeline": WHOLE}] * 2)
    with pytest.raises(DataError, match="would both be deep/p0"):
        check_files(twice, training=False)
    check_files(twice, training=True)
    with pytest.raises(DataError, match="have one name; a pair needs one file of each"):
        PairedFolders(str(folder / "hr"), str(folder / "hr"), WHOLE)


def test_a_pair_whose_sizes_do_not_belong_together_is_refused(folder: Path) -> None:
    write_image(folder / "lr" / "q.png", picture(0, 10, 13))
    write_image(folder / "one" / "q.png", picture(0, 40, 48))
    pair = PairedFolders(str(folder / "one"), str(folder / "lr"), WHOLE)
    with pytest.raises(DataError, match=r"q\.png is \(40, 48\) and .*q\.png \(10, 13\); wanted a whole multiple"):
        check_files(pair, training=False)


@pytest.mark.parametrize("name", ["../escape", "a/b", ".."])
def test_a_name_that_is_no_folder_name_is_refused(folder: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="wanted no slashes"):
        HRFolder(str(folder / "hr"), WHOLE, name=name)


def test_an_empty_or_missing_folder_is_named(tmp_path: Path) -> None:
    for root in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(DataError, match=str(root)):
            HRFolder(str(root), WHOLE)
    with pytest.raises(ConfigError, match="no root"):
        HRFolder([], WHOLE)


def test_a_batch_of_different_sizes_says_what_to_set() -> None:
    samples = [{"lr": picture(0, 8, 8 + i), "name": "x", "dataset": "d"} for i in (0, 1)]
    with pytest.raises(DataError, match="set batch_size=1 or add a RandomCrop"):
        collate_pictures(samples)
    with pytest.raises(DataError, match="x has no LR; add dict"):
        collate_pictures([{"hr": picture(0), "name": "x", "dataset": "d"}])
