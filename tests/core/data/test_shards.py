"""Tar shards: what is packed comes back, what is cut short is found, what others packed is read."""

import gc
import io
import json
import tarfile
from pathlib import Path

import pytest
import torch
import webdataset
from hypothesis import given
from hypothesis import strategies as st

from linearsr.core.data import HRFolder, TarShards, read_image, write_image
from linearsr.core.data.file_checks import check_files
from linearsr.core.data.samplers import DrawIndex
from linearsr.core.data.shard_writing import shards_from_folders, verify_shards, write_shards
from linearsr.core.data.tar_members import TarMember, members, split_name
from linearsr.core.errors import ConfigError, DataError, UnreadableError
from tests.core.data.conftest import cut_short, make_photos, picture

WHOLE = [{"type": "LoadPictures"}]


def pack(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


@pytest.fixture
def shards(photos: Path, tmp_path: Path) -> Path:
    shards_from_folders(str(photos), str(tmp_path / "shards"), per_shard=4, command="make")
    return tmp_path / "shards"


def test_what_is_packed_comes_back_with_names_order_and_bytes(photos: Path, shards: Path) -> None:
    packed, plain = TarShards(str(shards), WHOLE), HRFolder(str(photos), WHOLE)
    assert sorted(path.name for path in shards.iterdir()) == ["000000.tar", "000001.tar", "index.json"]
    assert [p.name for p in packed.pictures] == [p.name for p in plain.pictures]
    for mine, theirs in zip(packed.pictures, plain.pictures, strict=True):
        with mine.hr.open() as file:
            assert file.read() == theirs.hr.read_bytes()
        assert mine.hr.picture_size == (40, 48)
    assert all(torch.equal(packed[i]["hr"], plain[i]["hr"]) for i in range(6))
    assert packed.name == "shards"


def test_an_index_says_how_the_shards_were_made_and_the_same_pictures_give_the_same_shards(
    photos: Path, shards: Path, tmp_path: Path
) -> None:
    index = json.loads((shards / "index.json").read_text())
    assert index["made"]["command"] == "make"
    assert index["made"]["hr"] == str(photos)
    assert index["made"]["time_utc"] > "2020"
    (photos / "p0.png").touch()
    again = shards_from_folders(str(photos), str(tmp_path / "again"), per_shard=4)
    assert [shard.sha256 for shard in again] == [shard["sha256"] for shard in index["shards"]]


def test_training_from_shards_is_training_from_the_folder(photos: Path, shards: Path) -> None:
    pipeline = [*WHOLE, {"type": "RandomCrop", "size": 16, "scale": 4}, {"type": "BicubicDegradation", "scale": 4}]
    packed, plain = TarShards(str(shards), pipeline), HRFolder(str(photos), pipeline)
    assert torch.equal(packed[DrawIndex(5, 3)]["lr"], plain[DrawIndex(5, 3)]["lr"])


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # webdataset leaves its files open
def test_shards_are_what_webdataset_reads(photos: Path, shards: Path) -> None:
    read = list(webdataset.WebDataset([str(path) for path in sorted(shards.glob("*.tar"))], shardshuffle=False))
    assert [sample["__key__"] for sample in read] == [f"p{i}" for i in range(6)]
    assert [sample["png"] for sample in read] == [(photos / f"p{i}.png").read_bytes() for i in range(6)]
    gc.collect()


def test_shards_of_webdataset_are_read(tmp_path: Path) -> None:
    with webdataset.TarWriter(str(tmp_path / "a.tar")) as writer:
        for index in range(3):
            write_image(tmp_path / "x.png", picture(index))
            writer.write({"__key__": f"sub/{index:03}", "png": (tmp_path / "x.png").read_bytes(), "json": b"{}", "cls": b"7"})
    dataset = TarShards(str(tmp_path / "a.tar"), WHOLE)
    assert [p.name for p in dataset.pictures] == ["sub/000", "sub/001", "sub/002"]
    assert torch.equal(dataset[2]["hr"], read_image(tmp_path / "x.png"))
    assert dataset.name == "a"


def test_pairs_are_packed_side_by_side(photos: Path, tmp_path: Path) -> None:
    for index in range(6):
        write_image(tmp_path / "lr" / f"p{index}.webp", picture(index, 10, 12))
    shards_from_folders(str(photos), str(tmp_path / "out"), lr_root=str(tmp_path / "lr"))
    dataset = TarShards(str(tmp_path / "out"), WHOLE)
    check_files(dataset, training=False)
    assert dataset[3]["lr"].shape == (3, 10, 12)
    assert dataset[3]["hr"].shape == (3, 40, 48)


@pytest.mark.parametrize(
    ("name", "want"),
    [
        ("a.jpg", ("a", "hr")),
        ("x/a.JPEG", ("x/a", "hr")),
        ("v1.2/a.png", ("v1.2/a", "hr")),
        ("a.hr.png", ("a", "hr")),
        ("a.lr.png", ("a", "lr")),
        ("a.seg.png", ("a", "")),
        ("a.json", ("a", "")),
        ("a", ("a", "")),
        (".png", (".png", "")),
    ],
)
def test_names_follow_webdataset(name: str, want: tuple[str, str]) -> None:
    assert split_name(name) == want


@given(sizes=st.lists(st.integers(0, 2000), min_size=1, max_size=5), data=st.data())
def test_every_member_reads_back_and_any_cut_is_found(tmp_path_factory: pytest.TempPathFactory, sizes, data) -> None:
    folder = tmp_path_factory.mktemp("tar")
    files = {f"{i}.png": bytes((i * 7 + k) % 251 for k in range(size)) for i, size in enumerate(sizes)}
    path = pack(folder / "a.tar", files)
    found = list(members(path))
    for member in found:
        with member.open() as file:
            assert file.read() == files[member.name]
            start = data.draw(st.integers(0, member.size))
            file.seek(start)
            assert file.read(100) == files[member.name][start : start + 100]
    end = found[-1].offset + -(-found[-1].size // 512) * 512  # what follows is zeros that only mark the end
    path.write_bytes(path.read_bytes()[: data.draw(st.sampled_from([end, end - 512]) | st.integers(0, end))])
    with pytest.raises(DataError, match=r"a\.tar (cannot be read as a plain tar|has no end)"):
        list(members(path))


def test_a_truncated_shard_is_found_before_a_run(shards: Path) -> None:
    cut_short([shards / "000001.tar"], 0.6)
    for training in (True, False):
        with pytest.raises(DataError, match=r"000001\.tar is \d+ bytes long; index\.json beside it says \d+: copy it again"):
            check_files(TarShards(str(shards), WHOLE), training=training)
    assert len(verify_shards(shards)) == 1
    (shards / "000001.tar").unlink()
    with pytest.raises(DataError, match=r"000001\.tar is missing"):
        check_files(TarShards(str(shards), WHOLE), training=True)


def test_a_shard_that_is_cut_during_a_run_costs_its_own_pictures_only(shards: Path) -> None:
    dataset = TarShards(str(shards), WHOLE)
    cut_short([shards / "000001.tar"], 0.1)
    sample = dataset[DrawIndex(5, 0)]
    assert sample["name"] in ("p0", "p1", "p2", "p3")
    assert "000001.tar:p5.png cannot be read as a picture: its tar file is cut short: 0 of" in sample["lost"][0][1]
    (shards / "000001.tar").unlink()
    assert "p5.png: no such file" in dataset[DrawIndex(5, 0)]["lost"][0][1]
    with pytest.raises(UnreadableError):
        dataset[5]


def test_a_damaged_byte_is_found_by_verify(shards: Path) -> None:
    assert verify_shards(shards) == []
    content = bytearray((shards / "000000.tar").read_bytes())
    content[700] ^= 1
    (shards / "000000.tar").write_bytes(content)
    [wrong] = verify_shards(shards)
    assert "000000.tar has another content than index.json says" in wrong
    with pytest.raises(DataError, match=r"has no index\.json"):
        verify_shards(shards.parent)


def test_files_that_cannot_be_read_are_counted_and_nothing_is_written(photos: Path, tmp_path: Path) -> None:
    for index in range(6):
        (photos / f"bad{index}.png").write_text("no picture")
    with pytest.raises(DataError, match=r"6 pictures cannot be read: .*bad0\.png.*; and 1 more; nothing is written"):
        shards_from_folders(str(photos), str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_dots_in_names_and_names_that_would_agree(photos: Path, tmp_path: Path) -> None:
    write_image(photos / "day.1.png", picture(9))
    shards_from_folders(str(photos), str(tmp_path / "out"))
    assert "day_1" in [p.name for p in TarShards(str(tmp_path / "out"), WHOLE).pictures]
    write_image(photos / "day_1.png", picture(9))
    with pytest.raises(DataError, match=r"would both be day_1 in the shards; rename one"):
        shards_from_folders(str(photos), str(tmp_path / "other"))


def test_shards_are_not_written_over(photos: Path, shards: Path) -> None:
    with pytest.raises(DataError, match=r"index\.json exists; choose another folder"):
        shards_from_folders(str(photos), str(shards))
    with pytest.raises(ConfigError, match="per_shard is 0"):
        write_shards(HRFolder(str(photos), WHOLE), shards / "new", per_shard=0)


def test_an_interrupted_packing_is_done_again(photos: Path, shards: Path) -> None:
    (shards / "index.json").unlink()
    before = (shards / "000000.tar").read_bytes()
    cut_short([shards / "000000.tar"])
    shards_from_folders(str(photos), str(shards), per_shard=4)
    assert (shards / "000000.tar").read_bytes() == before


def test_one_shard_of_an_indexed_folder_and_several_roots(shards: Path, tmp_path: Path) -> None:
    assert [p.name for p in TarShards(str(shards / "000001.tar"), WHOLE).pictures] == ["p4", "p5"]
    more = make_photos(tmp_path / "more", 2)
    files = {f"m{i}.png": (more / f"p{i}.png").read_bytes() for i in range(2)}
    pack(tmp_path / "foreign.tar", files)
    assert len(TarShards([str(shards), str(tmp_path / "foreign.tar")], WHOLE)) == 8


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a.png": b"", "a.jpg": b""}, r"a\.jpg have one key and kind; a sample has one HR picture"),
        ({"a.lr.png": b""}, r"a\.lr\.png has no HR picture of the same key"),
        ({"a.txt": b"x"}, "hold no picture"),
    ],
)
def test_members_that_make_no_samples_are_refused(tmp_path: Path, files: dict[str, bytes], message: str) -> None:
    pack(tmp_path / "a.tar", files)
    with pytest.raises(DataError, match=message):
        TarShards(str(tmp_path), WHOLE)


def test_places_without_shards_are_refused(tmp_path: Path, shards: Path) -> None:
    with pytest.raises(DataError, match="gone is missing"):
        TarShards(str(tmp_path / "gone"), WHOLE)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty holds no \.tar file"):
        TarShards(str(tmp_path / "empty"), WHOLE)
    with tarfile.open(tmp_path / "packed.tar", "w:gz"):
        pass
    with pytest.raises(DataError, match=r"packed\.tar cannot be read as a plain tar file"):
        TarShards(str(tmp_path / "packed.tar"), WHOLE)
    pack(shards / "strange.tar", {})
    with pytest.raises(DataError, match=r"index\.json does not know strange\.tar"):
        TarShards(str(shards), WHOLE)


@pytest.mark.parametrize("text", ["", "{}", '{"format": "linearsr shards 1", "shards": [{}]}'])
def test_a_damaged_index_is_named(shards: Path, text: str) -> None:
    (shards / "index.json").write_text(text)
    with pytest.raises(DataError, match=r"index\.json is damaged"):
        TarShards(str(shards), WHOLE)
    (shards / "index.json").write_text('{"format": "linearsr shards 9"}')
    with pytest.raises(DataError, match=r"in the format 'linearsr shards 9'; wanted"):
        TarShards(str(shards), WHOLE)


def test_a_member_closes_its_file(shards: Path) -> None:
    file = TarMember(shards / "000000.tar", "x", 0, 10).open()
    descriptor = file.raw.file.fileno()
    file.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        io.FileIO(descriptor, closefd=False).read(1)
