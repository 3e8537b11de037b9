"""Pictures that cannot be read: replaced and named in training, an error everywhere else."""

from itertools import chain, islice
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ImageFile
from torch.utils.data import DataLoader, Dataset

from linearsr.core.data import DrawSampler, HRFolder, JoinedDatasets, PairedFolders, collate_pictures, read_image, write_image
from linearsr.core.data.samplers import DrawIndex
from linearsr.core.data.substitutes import TRIES, candidates, first_readable
from linearsr.core.errors import DataError, UnreadableError
from tests import strategies
from tests.core.data.conftest import cut_short, make_photos, picture

TRAIN = [
    {"type": "LoadPictures"},
    {"type": "RandomCrop", "size": 32, "scale": 4},
    {"type": "RandomFlipRotate"},
    {"type": "BicubicDegradation", "scale": 4},
]


def batches(dataset: Dataset, workers: int, ranks: int, size: int, count: int) -> list[list[dict]]:
    """Global batch k: what the ranks draw at iteration k, in the order of the stream."""
    streams = []
    for rank in range(ranks):
        with patch("linearsr.core.data.samplers.get_dist_info", lambda rank=rank: (rank, ranks)):
            sampler = DrawSampler(dataset, seed=3)
        loader = DataLoader(dataset, size // ranks, sampler=sampler, num_workers=workers, collate_fn=list)
        streams.append(list(islice(loader, count)))
    return [[own[i] for i in range(size // ranks) for own in parts] for parts in zip(*streams, strict=True)]


@settings(max_examples=6)
@given(damaged=st.sets(st.integers(0, 5), max_size=5), ranks=st.sampled_from([1, 2]), workers=st.sampled_from([0, 2]))
def test_whatever_is_damaged_global_batch_k_is_the_same_for_any_workers_and_ranks(
    tmp_path_factory: pytest.TempPathFactory, damaged: set[int], ranks: int, workers: int
) -> None:
    folder = make_photos(tmp_path_factory.mktemp("photos"), 6)
    cut_short(folder / f"p{index}.png" for index in damaged)
    dataset = HRFolder(str(folder), TRAIN)
    alone, shared = (batches(dataset, *how, size=4, count=3) for how in ((0, 1), (workers, ranks)))
    for one, other in zip(chain(*alone), chain(*shared), strict=True):
        assert (one["name"], one["seed"], one.get("lost")) == (other["name"], other["seed"], other.get("lost"))
        assert torch.equal(one["hr"], other["hr"])
        assert torch.equal(one["lr"], other["lr"])
        assert int(one["name"][1]) not in damaged


@given(seed=strategies.seeds, length=st.integers(1, 30), data=st.data())
def test_substitutes_are_different_pictures_that_depend_on_the_draw_alone(seed: int, length: int, data: st.DataObject) -> None:
    draw = DrawIndex(data.draw(st.integers(0, length - 1)), seed)
    order = list(candidates(draw, length))
    assert order == list(candidates(draw, length))
    assert order[0] == draw
    assert len(set(order)) == len(order) == min(length, TRIES + 1)
    assert set(order) <= set(range(length))


def test_substitutes_differ_from_draw_to_draw() -> None:
    second = {list(candidates(DrawIndex(0, seed), 100))[1] for seed in range(300)}
    assert len(second) > 60  # of 99; about 94 are expected


def test_a_lost_picture_is_named_with_its_reason_and_the_draw_keeps_its_seed(photos: Path) -> None:
    cut_short([photos / "p2.png"])
    sample = HRFolder(str(photos), TRAIN)[DrawIndex(2, 9)]
    assert sample["name"] != "p2"
    assert sample["seed"] == 9
    [(file, reason)] = sample["lost"]
    assert file == str(photos / "p2.png")
    assert "p2.png cannot be read as a picture: " in reason
    batch = collate_pictures([sample, HRFolder(str(photos), TRAIN)[DrawIndex(1, 4)]])
    assert batch["lost"] == [(file, reason)]


def test_a_batch_without_losses_has_no_such_key(photos: Path) -> None:
    assert "lost" not in collate_pictures([HRFolder(str(photos), TRAIN)[DrawIndex(1, 4)]])


@pytest.mark.parametrize("index", [2, torch.tensor(2).item()])
def test_outside_training_a_picture_that_cannot_be_read_is_an_error(photos: Path, index: int) -> None:
    cut_short([photos / "p2.png"])
    with pytest.raises(UnreadableError, match=r"p2\.png"):
        HRFolder(str(photos), [{"type": "LoadPictures"}])[index]


def test_a_pair_of_which_one_half_is_damaged_is_lost(photos: Path, tmp_path: Path) -> None:
    for index in range(6):
        write_image(tmp_path / "lr" / f"p{index}.png", picture(index, 10, 12))
    cut_short([tmp_path / "lr" / "p4.png"])
    sample = PairedFolders(str(photos), str(tmp_path / "lr"), TRAIN[:2])[DrawIndex(4, 0)]
    assert sample["name"] != "p4"
    assert str(tmp_path / "lr" / "p4.png") in sample["lost"][0][1]


def test_in_joined_datasets_the_substitute_is_of_the_same_dataset(photos: Path, tmp_path: Path) -> None:
    other = make_photos(tmp_path / "other", 4)
    cut_short([other / "p1.png"])
    joined = JoinedDatasets(
        [{"type": "HRFolder", "root": str(root), "pipeline": TRAIN, "name": root.name} for root in (photos, other)]
    )
    samples = [joined[DrawIndex(7, seed)] for seed in range(12)]
    assert {sample["dataset"] for sample in samples} == {"other"}
    assert {sample["name"] for sample in samples} == {"p0", "p2", "p3"}


def test_where_nothing_can_be_read_the_run_ends_with_names(photos: Path) -> None:
    cut_short(photos.iterdir())
    with pytest.raises(DataError, match=r"none of 6 pictures drawn one after the other can be read; the first: .*p3\.png"):
        HRFolder(str(photos), TRAIN)[DrawIndex(3, 0)]


def test_tries_are_bounded() -> None:
    asked = []

    def read(index: int) -> None:
        asked.append(index)
        raise UnreadableError("no")

    with pytest.raises(DataError, match="none of 11"):
        first_readable(read, DrawIndex(5, 1), 1000)
    assert len(set(asked)) == TRIES + 1


def test_a_mistake_in_the_config_is_not_taken_for_a_lost_picture(photos: Path) -> None:
    too_large = [{"type": "LoadPictures"}, {"type": "RandomCrop", "size": 64, "scale": 4}]
    with pytest.raises(DataError, match=r"^p0 is 40×48, smaller than RandomCrop's size 64"):
        HRFolder(str(photos), too_large)[DrawIndex(0, 0)]


@given(share=st.floats(0.02, 0.97))
@settings(max_examples=15)
def test_a_jpeg_cut_anywhere_is_refused(tmp_path_factory: pytest.TempPathFactory, share: float) -> None:
    folder = make_photos(tmp_path_factory.mktemp("jpeg"), 1, ".jpg")
    cut_short([folder / "p0.jpg"], share)
    assert not ImageFile.LOAD_TRUNCATED_IMAGES
    with pytest.raises(UnreadableError, match=r"p0\.jpg"):
        read_image(folder / "p0.jpg")
