"""Lists of pictures and folders in a text file."""

from pathlib import Path

import pytest

from linearsr.core.data import HRFolder, write_image
from linearsr.core.data.file_lists import read_list
from linearsr.core.errors import DataError
from tests.core.data.conftest import picture

WHOLE = [{"type": "LoadPictures"}]


def test_a_list_names_pictures_and_folders_relative_to_itself(photos: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "more" / "deep" / "x.png", picture(7))
    write_image(photos / "#7.png", picture(8))
    (tmp_path / "train.txt").write_text(
        "# chosen by hand\n\nphotos/p3.png\n  photos/p1.png  \nmore\nphotos/#7.png\nphotos/p3.png\n"
    )
    dataset = HRFolder(str(tmp_path / "train.txt"), WHOLE)
    assert [p.name for p in dataset.pictures] == ["photos/p3", "photos/p1", "more/deep/x", "photos/#7", "photos/p3"]
    assert dataset.name == "train"
    assert dataset[2]["hr"].shape == (3, 40, 48)


def test_lists_and_folders_stand_side_by_side(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("photos/p0.png\n")
    dataset = HRFolder([str(tmp_path / "one.txt"), str(photos)], WHOLE)
    assert [p.name for p in dataset.pictures] == ["photos/p0"] + [f"photos/p{i}" for i in range(6)]


def test_a_picture_elsewhere_is_named_by_its_whole_path(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "lists").mkdir()
    for entry in ("../photos/p0.png", str(photos / "p0.png")):
        (tmp_path / "lists" / "a.txt").write_text(entry + "\n")
        [(name, path)] = read_list(tmp_path / "lists" / "a.txt")
        assert name == str(photos / "p0")[1:]
        assert path.samefile(photos / "p0.png")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("photos/p0.png\n# x\nphotos/p9.png\n", r"a\.txt:3: .*p9\.png is missing; entries are relative"),
        ("photos/notes.md\n", r"a\.txt:1: .*notes\.md is no picture"),
        ("empty\n", r"a\.txt:1: .*empty holds no picture"),
        ("# nothing\n\n", r"a\.txt lists no picture"),
    ],
)
def test_what_is_wrong_names_list_and_line(photos: Path, tmp_path: Path, text: str, message: str) -> None:
    (photos / "notes.md").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(DataError, match=message):
        HRFolder(str(tmp_path / "a.txt"), WHOLE)


def test_a_list_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.txt cannot be read as a list"):
        HRFolder(str(tmp_path / "gone.txt"), WHOLE)
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9.png\n")
    with pytest.raises(DataError, match=r"latin\.txt cannot be read as a list"):
        HRFolder(str(tmp_path / "latin.txt"), WHOLE)
