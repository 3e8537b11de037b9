"""Texts beside pictures."""

from pathlib import Path

import pytest

from linearsr.core.data import HRFolder, LRFolder, ReadSidecarText
from linearsr.core.data.samplers import DrawIndex
from linearsr.core.errors import ConfigError, DataError
from linearsr.core.registries import TRANSFORMS

READ = {"type": "ReadSidecarText"}
LOAD = {"type": "LoadPictures"}


def texts(photos: Path, **options: object) -> list[str]:
    return [sample["prompt"] for sample in HRFolder(str(photos), [{**READ, **options}, LOAD])]


def write_all(photos: Path, folder: Path | None = None, suffix: str = ".txt") -> list[str]:
    names = [picture.name for picture in HRFolder(str(photos), []).pictures]
    for name in names:
        file = (folder or photos) / f"{name}{suffix}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f" \ncat, {name}\n猫 \n", encoding="utf-8-sig")
    return [f"cat, {name}\n猫" for name in names]


def test_each_picture_gets_the_text_beside_it(photos: Path) -> None:
    wanted = write_all(photos)
    assert texts(photos) == wanted
    assert HRFolder(str(photos), [READ, LOAD])[DrawIndex(1, 7)]["prompt"] == wanted[1]
    assert [sample["prompt"] for sample in LRFolder(str(photos), [READ, LOAD])] == wanted


def test_each_picture_gets_the_text_of_its_name_in_a_folder_of_texts(photos: Path, tmp_path: Path) -> None:
    wanted = write_all(photos, tmp_path / "captions", ".caption.txt")
    assert texts(photos, folder=str(tmp_path / "captions"), suffix=".caption.txt") == wanted


def test_names_below_a_root_are_paths_below_the_folder_of_texts(photos: Path, tmp_path: Path) -> None:
    write_all(photos, tmp_path / "captions" / "below")
    (tmp_path / "root").mkdir()
    photos.rename(tmp_path / "root" / "below")
    found = HRFolder(str(tmp_path / "root"), [{**READ, "folder": str(tmp_path / "captions")}])
    assert all(Path(sample["name"]).name in sample["prompt"] for sample in found)


def test_a_missing_text_is_named_with_its_place_or_told_by_default(photos: Path) -> None:
    write_all(photos)
    first = next(photos.glob("*.txt"))
    first.unlink()
    with pytest.raises(DataError, match=rf"{first} does not exist.*ReadSidecarText\.default"):
        texts(photos)
    assert texts(photos, default="").count("") == 1


def test_an_empty_file_says_that_there_is_nothing_to_tell(photos: Path) -> None:
    write_all(photos)
    for file in photos.glob("*.txt"):
        file.write_text(" \n")
    assert set(texts(photos)) == {""}


def test_another_encoding_is_refused_and_the_file_named(photos: Path) -> None:
    write_all(photos)
    file = next(photos.glob("*.txt"))
    file.write_bytes("Käse".encode("latin-1"))
    with pytest.raises(DataError, match=f"{file} cannot be read.*UTF-8"):
        texts(photos)


def test_behind_the_loading_of_pictures_there_is_no_path_any_more(photos: Path) -> None:
    with pytest.raises(ConfigError, match="move it to the front"):
        HRFolder(str(photos), [LOAD, READ])[0]


class Member:
    def __str__(self) -> str:
        return "shard.tar:photo.png"


def test_a_picture_in_a_shard_has_nothing_beside_it_but_may_have_a_text_in_a_folder(tmp_path: Path) -> None:
    sample = {"name": "photo", "hr_path": Member(), "lr_path": None}
    with pytest.raises(ConfigError, match=r"shard\.tar:photo\.png is no file of its own"):
        ReadSidecarText().transform(dict(sample))
    (tmp_path / "photo.txt").write_text("cat")
    assert ReadSidecarText(key="tags", folder=str(tmp_path)).transform(dict(sample))["tags"] == "cat"


@pytest.mark.parametrize("options", [{"suffix": "txt"}, {"suffix": "/../x.txt"}, {"suffix": 3}, {"default": 3}])
def test_an_option_that_cannot_be_is_named(options: dict) -> None:
    with pytest.raises(ConfigError, match=rf"ReadSidecarText\.{next(iter(options))}"):
        TRANSFORMS.build({**READ, **options})
