"""A file is there whole or not at all, whatever happens while it is written."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from linearsr.core.atomic import PARTIAL, atomic_path, atomic_write, write_text


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
@pytest.mark.parametrize("old", [None, b"old"])
def test_an_error_in_mid_write_leaves_what_was_there(tmp_path: Path, error: BaseException, old: bytes | None) -> None:
    if old is not None:
        (tmp_path / "f").write_bytes(old)
    for half in (half_a_file, half_a_path):
        with pytest.raises(type(error)):
            half(tmp_path / "f", error)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == ([] if old is None else [old])


def half_a_file(path: Path, error: BaseException) -> None:
    with atomic_write(path) as file:
        file.write(b"half")
        raise error


def half_a_path(path: Path, error: BaseException) -> None:
    with atomic_path(path) as temporary:
        temporary.write_bytes(b"half")
        raise error


def test_the_target_changes_at_the_end_only_and_folders_are_made(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "f"
    write_text(target, "é")
    assert target.read_bytes() == "é".encode()
    with atomic_write(target) as file:
        file.write(b"new")
        file.flush()
        assert target.read_bytes() == "é".encode()
    assert target.read_bytes() == b"new"
    assert target.stat().st_mode & 0o777 == 0o644


def test_content_reaches_the_disk_before_the_name_and_the_name_before_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a loss of power could leave the new name with no content."""
    order: list[str] = []
    replace, fsync = os.replace, os.fsync

    def noted_fsync(descriptor: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        order.append("folder" if path.is_dir() else f"{path.stat().st_size} bytes")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", lambda *names: (order.append("rename"), replace(*names)))
    with atomic_write(tmp_path / "f") as file:
        file.write(b"12345")
    assert order == ["5 bytes", "rename", "folder"]


def test_writers_of_one_file_at_a_time_leave_one_whole_file(tmp_path: Path) -> None:
    contents = [bytes([number]) * 100_000 for number in range(8)]
    threads = [threading.Thread(target=lambda c=content: write_bytes(tmp_path / "f", c)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "f").read_bytes() in contents
    assert len(list(tmp_path.iterdir())) == 1


def write_bytes(path: Path, content: bytes) -> None:
    with atomic_write(path) as file:
        file.write(content)


def test_a_kill_in_mid_write_keeps_the_old_file_and_leaves_a_name_to_sweep(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"old")
    script = (
        "import os, signal, sys\nfrom linearsr.core.atomic import atomic_write\n"
        "with atomic_write(sys.argv[1]) as file:\n    file.write(b'half')\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "f")], check=False)
    assert done.returncode == -signal.SIGKILL
    assert (tmp_path / "f").read_bytes() == b"old"
    assert len(list(tmp_path.glob(PARTIAL))) == 1
