"""The machine: each limit from both sides."""

import os
from pathlib import Path
from typing import NamedTuple

import pytest

from linearsr.core.doctor.machine import ROOM_ON_DISK, SHARED_MEMORY, data_folder, disk, shared_memory


class Usage(NamedTuple):
    total: int
    used: int
    free: int


@pytest.mark.parametrize(("missing", "state"), [(0, "ok"), (1, "warning")])
def test_little_room_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: int, state: str) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda folder: Usage(10**13, 0, ROOM_ON_DISK - missing))
    assert disk(tmp_path).state == state
    monkeypatch.setattr("shutil.disk_usage", lambda folder: Usage(10**13, 0, SHARED_MEMORY - missing))
    assert shared_memory(tmp_path).state == state


def test_a_write_protected_folder_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert "write-protected" in disk(tmp_path).detail


def test_a_system_without_shared_memory_is_no_problem(tmp_path: Path) -> None:
    assert shared_memory(tmp_path / "none").state == "ok"


def test_the_data_folder_is_absent_wrong_or_listed(tmp_path: Path) -> None:
    assert data_folder(None).state == data_folder("").state == "absent"
    assert data_folder(str(tmp_path / "none")).state == "warning"
    (tmp_path / "eval").mkdir()
    (tmp_path / "train").mkdir()
    (tmp_path / "note.txt").write_text("")
    assert data_folder(str(tmp_path)).detail == f"{tmp_path} with eval, train"
