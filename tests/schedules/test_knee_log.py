"""Evaluations out of logs: what is passed over, and what is refused with file and line."""

import json
import math

import pytest

from linearsr.core.errors import DataError
from linearsr.schedules.knee_point.log import read_evaluations

BOTH = ["psnr_y", "lpips"]


def lines(*records):
    return "".join(json.dumps(record) + "\n" for record in records)


VAL = {"step": 10, "phase": "val", "psnr_y": 20.5, "lpips": 0.5, "time": 1.0}


@pytest.fixture
def log(tmp_path):
    def write(text, name="log.jsonl"):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


def test_the_lines_of_a_runs_log_between_which_training_lies(log):
    train = {"step": 10, "phase": "train", "loss": 0.3, "lpips": 0.4}
    path = log(lines({"step": 5, "loss": 1.0}, train, VAL) + "\n" + lines(VAL | {"step": 20, "lpips": None}))
    read = read_evaluations(path, BOTH)
    assert [one.step for one in read] == [10, 20]
    assert read[0].metrics == {"psnr_y": 20.5, "lpips": 0.5}
    assert math.isnan(read[1].metrics["lpips"])  # our log writes null for what is not finite


def test_a_line_cut_short_by_a_kill_is_passed_over_at_the_end_only(log):
    assert len(read_evaluations(log(lines(VAL) + '{"step": 20, "psn'), BOTH)) == 1
    with pytest.raises(DataError, match=r"log.jsonl, line 1: .*wanted one JSON object a line"):
        read_evaluations(log('{"step": 20, "psn\n' + lines(VAL)), BOTH)


def test_a_csv_says_the_same_as_json_lines(log):
    csv = log("step,loss,psnr_y,lpips\n5,0.3,,\n10,,20.5,0.5\n\n20,, 21.5 ,nan\n", "metrics.csv")
    read = read_evaluations(csv, BOTH)
    assert [(one.step, one.metrics["psnr_y"]) for one in read] == [(10, 20.5), (20, 21.5)]
    assert math.isnan(read[1].metrics["lpips"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty; wanted a log of JSON lines, or CSV with a header, with step, psnr_y, lpips"),
        ("step,psnr_y,lpips\n", "is empty"),
        (lines(VAL, {"step": 20, "psnr_y": 1.0}), "line 2: psnr_y without lpips; wanted all of psnr_y, lpips in one line"),
        (lines({"step": 10, "psnr_y": 1.0, "lpisp": 1.0}), "no metric 'lpips'; did you mean 'lpisp'.*the log has step, psnr_y"),
        (lines(VAL | {"lpips": "low"}), "line 1: lpips is 'low'; wanted a number"),
        (lines(VAL | {"lpips": True}), "line 1: lpips is True; wanted a number"),
        (lines(VAL | {"lpips": [1]}), r"line 1: lpips is \[1\]"),
        (lines(VAL, VAL), "line 2: step 10 comes after 10; wanted increasing steps"),
        (lines({"iter": 3, "psnr_y": 1.0, "lpips": 1.0}), "line 1: no 'step'; the line has iter, .*--step-key"),
        (lines(VAL | {"step": "ten"}), "line 1: step is 'ten'; wanted a number"),
        (lines(VAL, [1, 2]), "line 2: a list; wanted one JSON object a line"),
        (lines(VAL | {"phase": "train"}), "no line of an evaluation"),
        ("step,psnr_y,lpips\n10,20.5,\n", "line 2: psnr_y without lpips"),
        ("step,psnr_y,lpips\n10,20.5,0.5\n20,21\n", "line 3: 2 cells; wanted 3, as the header has"),
        ("step,psnr_y,lpips\n10,twenty,0.5\n", "line 2: psnr_y is 'twenty'; wanted a number"),
        ("step,psnr_y,lpips\nnan,1,0.5\n", "line 2: step is 'nan'; wanted a finite number"),
        ("step,psnr_y,lpips\n,1,0.5\n", "line 2: no 'step'"),
    ],
)
def test_a_log_with_holes_is_refused_with_file_and_line(log, text, said):
    with pytest.raises(DataError, match=f"log.jsonl.*{said}"):
        read_evaluations(log(text), BOTH)


def test_what_is_no_text_is_refused(tmp_path):
    (tmp_path / "log.jsonl").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(DataError, match="no text in UTF-8"):
        read_evaluations(tmp_path / "log.jsonl", BOTH)
