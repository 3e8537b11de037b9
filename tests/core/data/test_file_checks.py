"""The look at every header before a run."""

from pathlib import Path

import pytest

from linearsr.core.data import HRFolder, JoinedDatasets, file_checks
from linearsr.core.data.file_checks import check_files, with_progress
from linearsr.core.errors import DataError, UnreadableError
from tests.core.data.conftest import make_photos

WHOLE = [{"type": "LoadPictures"}]


def test_outside_training_one_unreadable_header_is_an_error(photos: Path) -> None:
    (photos / "p4.png").write_text("no picture")
    with pytest.raises(UnreadableError, match=r"p4\.png is not a picture"):
        check_files(HRFolder(str(photos), WHOLE), training=False, limit=1)


def test_in_training_it_is_named_in_a_warning_up_to_the_limit(
    photos: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (photos / "p4.png").write_text("no picture")
    dataset = HRFolder(str(photos), WHOLE)
    check_files(dataset, training=True, limit=1 / 6)
    said = capsys.readouterr().err
    assert "warning: 1 of 6 training pictures cannot be read" in said
    assert "p4.png" in said
    with pytest.raises(DataError, match=r"1 of 6 .* more than the limit of 16\.00%: .*p4\.png.*LostSamplesHook"):
        check_files(dataset, training=True, limit=0.16)
    with pytest.raises(DataError, match=r"limit of 1\.00%"):
        check_files(dataset, training=True)
    monkeypatch.setattr(file_checks, "is_main_process", lambda: False)
    capsys.readouterr()
    check_files(dataset, training=True, limit=1)
    assert capsys.readouterr().err == ""


def test_many_are_counted_and_some_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_photos(tmp_path / "a", 1)
    for index in range(7):
        (folder / f"bad{index}.png").touch()
    check_files(HRFolder(str(folder), WHOLE), training=True, limit=1)
    said = capsys.readouterr().err
    assert "7 of 8" in said
    assert "and 2 more" in said
    assert "bad4.png" in said
    assert "bad5.png" not in said


def test_joined_datasets_are_looked_at_however_deep(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "x.png").touch()
    good, bad = ({"type": "HRFolder", "root": str(root), "pipeline": WHOLE} for root in (photos, tmp_path / "bad"))
    joined = JoinedDatasets([good, {"type": "JoinedDatasets", "datasets": [bad]}])
    with pytest.raises(DataError, match=r"x\.png"):
        check_files(joined, training=False)


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_gives_the_items_and_shows_on_a_terminal_only(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    monkeypatch.setattr(file_checks, "QUIET_SECONDS", -1.0)
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("TTY_COMPATIBLE", "1")
    assert list(with_progress(range(300), 300, "looking")) == list(range(300))
    assert ("looking" in capsys.readouterr().err) == terminal


def test_what_is_quick_shows_no_progress(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_checks, "QUIET_SECONDS", 1e9)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert list(with_progress([1], 1, "looking")) == [1]
    assert "looking" not in capsys.readouterr().err
