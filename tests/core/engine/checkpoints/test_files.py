"""Checkpoints as files."""

import errno
import os
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from linearsr.core.engine.checkpoints import files
from linearsr.core.engine.checkpoints.files import (
    checkpoint_name,
    newest_checkpoint,
    note_newest,
    numbered,
    read_checkpoint,
    retire,
    sweep,
    write_checkpoint,
)
from linearsr.core.errors import CheckpointError, WeightsError


def made(folder: Path, *iterations: int) -> Path:
    for iteration in iterations:
        (folder / checkpoint_name(iteration)).touch()
    return folder


def test_the_newest_is_the_one_saved_last_in_this_folder(tmp_path: Path) -> None:
    made(tmp_path, 1000, 500, 90)
    assert newest_checkpoint(tmp_path).name == "iter_1000.pth"
    (tmp_path / "last_checkpoint").write_text("/another/place/iter_500.pth")
    assert newest_checkpoint(tmp_path) == tmp_path / "iter_500.pth"
    (tmp_path / "last_checkpoint").write_text("")
    assert newest_checkpoint(tmp_path).name == "iter_1000.pth"
    (tmp_path / "last_checkpoint").write_text("iter_7.pth")  # gone
    assert newest_checkpoint(tmp_path).name == "iter_1000.pth"


def test_no_checkpoint_is_an_error_and_not_a_new_beginning(tmp_path: Path) -> None:
    (tmp_path / "last_checkpoint").write_text("iter_7.pth")
    with pytest.raises(WeightsError, match="there is no checkpoint iter_"):
        newest_checkpoint(tmp_path)


def test_the_note_holds_a_name_and_no_path(tmp_path: Path) -> None:
    note_newest(tmp_path / "iter_5.pth")
    assert (tmp_path / "last_checkpoint").read_text() == "iter_5.pth"


@given(st.sets(st.integers(0, 99), min_size=1), st.integers(-1, 5).filter(bool), st.data())
def test_retiring_keeps_the_newest_of_the_past_and_all_of_the_future(tmp_path_factory, iterations, keep, data) -> None:
    newest = data.draw(st.sampled_from(sorted(iterations)))
    folder = made(tmp_path_factory.mktemp("run"), *iterations)
    retire(folder, newest, keep)
    past = sorted(n for n in iterations if n <= newest)
    assert set(numbered(folder)) == set(past[-keep:] if keep > 0 else past) | {n for n in iterations if n > newest}


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    content = {"meta": {"iter": 3}, "state_dict": {"w": torch.arange(4)}}
    write_checkpoint(tmp_path / "iter_3.pth", content)
    again = read_checkpoint(tmp_path / "iter_3.pth")
    assert again["meta"] == content["meta"]
    assert torch.equal(again["state_dict"]["w"], content["state_dict"]["w"])
    assert [path.name for path in tmp_path.iterdir()] == ["iter_3.pth"]


@pytest.mark.parametrize("bytes_written", [0, 10, 500])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch, bytes_written: int) -> None:
    write_checkpoint(tmp_path / "a.pth", {"old": torch.ones(3)})

    def full(content, file):
        file.write(b"x" * bytes_written)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.torch, "save", full)
    with pytest.raises(CheckpointError, match=r"a\.pth could not be written: No space left on device"):
        write_checkpoint(tmp_path / "a.pth", {"new": torch.zeros(3)})
    assert [path.name for path in tmp_path.iterdir()] == ["a.pth"]
    assert "old" in read_checkpoint(tmp_path / "a.pth")


def test_what_torchs_writer_says_of_a_full_disk_is_said_in_the_file_systems_words(tmp_path: Path, monkeypatch) -> None:
    def full(content, file):
        try:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        except OSError:
            raise RuntimeError("[enforce fail at inline_container.cc:783] . PytorchStreamWriter failed writing")  # noqa: B904

    monkeypatch.setattr(files.torch, "save", full)
    with pytest.raises(CheckpointError, match="File too large"):
        write_checkpoint(tmp_path / "a.pth", {})


@pytest.mark.parametrize("size", [0, 10, 600])
def test_a_damaged_checkpoint_is_refused_by_name_and_size(tmp_path: Path, size: int) -> None:
    write_checkpoint(tmp_path / "a.pth", {"w": torch.ones(3)})
    data = (tmp_path / "a.pth").read_bytes()
    (tmp_path / "a.pth").write_bytes(data[:size])
    with pytest.raises(WeightsError, match=rf"a\.pth \({size} bytes\) cannot be read"):
        read_checkpoint(tmp_path / "a.pth")


def test_sweeping_takes_half_written_files_and_no_other(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    for name in (".tmp-abc.part", "below/.tmp-x.part", "iter_3.pth", "part", ".hidden"):
        (tmp_path / name).touch()
    sweep(tmp_path)
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {"iter_3.pth", "part", ".hidden"}
