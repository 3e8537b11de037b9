"""A picture that cannot be written ends the run with one line, and what was done before is whole."""

import errno
import os
from pathlib import Path

import pytest

from linearsr.core.command_line import USER_ERROR, run_command
from linearsr.core.data import write_image
from linearsr.core.engine import run_restoring
from linearsr.core.engine.restoring import keeping
from linearsr.core.errors import DataError


def full_from(monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    def write(path: Path, image: object) -> None:
        if path.name == place:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        write_image(path, image)

    monkeypatch.setattr(keeping, "write_image", write)


def test_a_full_disk_is_an_error_of_the_data_and_the_next_start_goes_on(
    config: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as full:
        full_from(full, "p3.png")
        with pytest.raises(DataError, match=r"sub/p3\.png could not be written: No space left on device; what was done before"):
            run_restoring(config, None, [photos], tmp_path / "out", num_steps=1)
    done = run_restoring(config, None, [photos], tmp_path / "out", num_steps=1)
    assert done.skipped > 0
    assert done.restored + done.skipped == 6


def test_a_full_disk_leaves_with_the_code_of_what_a_user_can_mend(
    config: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    full_from(monkeypatch, "p3.png")
    with pytest.raises(SystemExit) as leave:
        run_command(lambda: run_restoring(config, None, [photos], tmp_path / "out", num_steps=1))
    assert leave.value.code == USER_ERROR
    assert "error: " in capsys.readouterr().err
