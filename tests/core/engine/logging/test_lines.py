"""Lines of JSON that stay whole, in order and standard, whatever happens to the process that writes them."""

import json
import resource
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from linearsr.core.engine.logging.lines import append_line, keep_lines, read_log, set_aside

VALUES = st.dictionaries(
    st.text(max_size=5), st.floats() | st.integers(-(10**9), 10**9) | st.none() | st.text(max_size=9), max_size=4
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lines")


def written(path: Path, steps: int) -> Path:
    path.unlink(missing_ok=True)
    for step in range(1, steps + 1):
        append_line(path, {"step": step, "phase": "train", "loss": step / 7})
    return path


@given(values=VALUES)
def test_whatever_is_logged_is_one_line_of_standard_json(folder: Path, values: dict) -> None:
    path = folder / "any.jsonl"
    path.unlink(missing_ok=True)
    append_line(path, {**values, "step": 1, "phase": "val"})
    (text,) = path.read_text().splitlines()

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    line = json.loads(text, parse_constant=refuse)
    finite = {name: value for name, value in values.items() if not isinstance(value, float) or np.isfinite(value)}
    assert {name: line[name] for name in finite if name not in ("step", "phase")} == {
        name: value for name, value in finite.items() if name not in ("step", "phase")
    }
    assert all(line[name] is None for name in values.keys() - finite.keys() - {"step", "phase"})


@given(lost=st.integers(1, 40), garbage=st.sampled_from([b"", b"\0\0\0\0\0", b"\xff\xfe", b"[1]", b'{"loss": 1}', b"12"]))
def test_a_log_cut_at_any_byte_keeps_its_whole_lines_and_takes_new_ones(folder: Path, lost: int, garbage: bytes) -> None:
    path = written(folder / "cut.jsonl", 3)
    data = path.read_bytes()
    path.write_bytes(data[:-lost] + garbage)
    whole = data[:-lost].count(b"\n") + (lost == 1 and not garbage)  # a line that lacks its end only
    assert [line["step"] for line in read_log(path)] == [1, 2, 3][:whole]
    keep_lines(path, lambda line: True)
    append_line(path, {"step": 9, "phase": "train"})
    assert [line["step"] for line in read_log(path)] == [*[1, 2, 3][:whole], 9]
    assert path.read_bytes().count(b"\n") == whole + 1


def test_tensors_and_numpy_scalars_are_numbers(tmp_path: Path) -> None:
    values = {"tensor": torch.tensor(0.5), "array": np.float32(0.25), "count": np.int64(3), "nan": torch.tensor(float("nan"))}
    append_line(tmp_path / "log.jsonl", {"step": 1, "phase": "train", **values})
    (line,) = read_log(tmp_path / "log.jsonl")
    assert (line["tensor"], line["array"], line["count"], line["nan"]) == (0.5, 0.25, 3, None)


def test_lines_that_are_wanted_no_more_go_and_the_rest_stays_as_it_was(tmp_path: Path) -> None:
    path = written(tmp_path / "log.jsonl", 5)
    before = path.read_bytes().splitlines()
    keep_lines(path, lambda line: line["step"] <= 3)
    assert path.read_bytes().splitlines() == before[:3]
    inode = path.stat().st_ino
    keep_lines(path, lambda line: True)
    assert path.stat().st_ino == inode  # nothing to drop: not written again
    keep_lines(tmp_path / "none.jsonl", lambda line: True)
    assert not (tmp_path / "none.jsonl").exists()


def test_a_write_that_stops_half_way_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    limit = 2**20
    path.write_bytes(b'{"step": 1, "phase": "train"}\n'.ljust(limit - 11, b" ") + b"\n")
    before = path.read_bytes()
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, old[1]))  # ten bytes fit
    try:
        with pytest.raises(OSError, match=r"No space left|too large"):
            append_line(path, {"step": 2, "phase": "train"})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert path.read_bytes() == before


def test_logs_of_earlier_runs_are_numbered_and_none_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    set_aside(path)
    for text in ("first", "second", "third"):
        path.write_text(text)
        set_aside(path)
    assert not path.exists()
    assert [(tmp_path / f"log.{number}.jsonl").read_text() for number in (1, 2, 3)] == ["first", "second", "third"]
