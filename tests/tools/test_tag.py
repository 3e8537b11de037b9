"""tools/tag.py, and the page that tools/benchmarks/tagging.py fills."""

import json
import runpy
from pathlib import Path

import pytest
import torch

from linearsr.core.data.folders import HRFolder
from linearsr.core.data.images import write_image
from tests.tools.conftest import ROOT, Run

FIXED = ("--tagger", "FixedTags", "--options", "tags=[cat,富士山]")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for i, name in enumerate(("a", "below/b")):
        write_image(tmp_path / "photos" / f"{name}.png", torch.full((3, 4, 5), i / 2))
    return tmp_path / "photos"


def test_tags_are_printed_written_edited_and_read_back(run: Run, tmp_path: Path, photos: Path) -> None:
    table = tmp_path / "tags.jsonl"
    done = run("tag.py", photos, *FIXED, "--out", table)
    assert done.returncode == 0, done.stderr
    assert "cat 1.00, 富士山 1.00" in done.stdout
    lines = [json.loads(line) for line in table.read_text().splitlines()]
    assert [(line["name"], line["tags"]) for line in lines] == [("a", ["cat", "富士山"]), ("below/b", ["cat", "富士山"])]
    table.write_text(table.read_text().replace('"cat"', '"tabby"', 1))
    done = run("tag.py", photos, "--read", table)
    assert done.returncode == 0, done.stderr
    assert [word in done.stdout for word in ("tabby 1.00, 富士山", "cat 1.00, 富士山")] == [True, True]


def test_a_config_names_the_tagger(run: Run, tmp_path: Path, site: Path, photos: Path) -> None:
    site.mkdir()
    (site / "guidance_of_mine.py").write_text("class Mine:\n    def __init__(self, tagger): ...\n")
    (tmp_path / "mine.py").write_text(
        "_tagger = dict(type='FixedTags', tags=['dog'])\n"
        "model = dict(type='LinearSR', guidance=dict(type='guidance_of_mine.Mine', tagger=_tagger))\n"
    )
    done = run("tag.py", tmp_path / "mine.py", photos / "a.png")
    assert done.returncode == 0, done.stderr
    assert "dog 1.00" in done.stdout
    assert (
        run("tag.py", tmp_path / "mine.py").stderr == "error: no pictures were named; add files or folders behind the config\n"
    )
    assert "leave one out" in run("tag.py", tmp_path / "mine.py", photos, "--tagger", "FixedTags").stderr
    (tmp_path / "plain.py").write_text("model = None\n")
    assert "plain.py has no model.guidance.tagger" in run("tag.py", tmp_path / "plain.py", photos).stderr


def test_tags_go_beside_the_pictures_if_asked(run: Run, photos: Path) -> None:
    done = run("tag.py", photos, *FIXED, "--sidecars")
    assert done.returncode == 0, done.stderr
    assert (photos / "below" / "b.txt").read_text() == "cat, 富士山\n"


def test_what_may_have_been_edited_is_not_replaced_unless_asked(run: Run, tmp_path: Path, photos: Path) -> None:
    table, words = tmp_path / "tags.jsonl", ("tag.py", photos, *FIXED)
    assert run(*words, "--sidecars", "--out", table).returncode == 0
    (photos / "a.txt").write_text("sofa, 猫")
    for option, where in ((["--sidecars"], "a.txt (2 in all)"), (["--out", table], "tags.jsonl (1 in all)")):
        done = run(*words, *option)
        assert (done.returncode, where in done.stderr) == (2, True)
    assert (photos / "a.txt").read_text() == "sofa, 猫"
    assert run(*words, "--sidecars", "--overwrite").returncode == 0
    assert (photos / "a.txt").read_text() == "cat, 富士山\n"


def test_a_picture_that_cannot_be_read_stops_no_other(run: Run, tmp_path: Path, photos: Path) -> None:
    (photos / "aa.png").write_bytes(b"no picture")
    done = run("tag.py", photos, *FIXED, "--out", tmp_path / "tags.jsonl")
    assert done.returncode == 3
    assert "aa.png is not a picture" in done.stderr
    assert len((tmp_path / "tags.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--tagger", "FixedTagz"], "did you mean 'FixedTags'"),
        (["--tagger", "FixedTags", "--options", "tag=[cat]"], "'tag'"),
        (["--read", "nowhere.jsonl"], "nowhere.jsonl cannot be read"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(run: Run, photos: Path, words: list[str], said: str) -> None:
    done = run("tag.py", photos, *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_options_may_come_again(run: Run, photos: Path) -> None:
    done = run("tag.py", photos, "--tagger", "FixedTags", "--options", "tag=[dog]", "--options", "tags=[cat]")
    assert "has no key 'tag'" in done.stderr


@pytest.mark.parametrize("words", [["--tagger", "FixedTags"], ["--options", "tags=[cat]"]])
def test_a_table_and_a_tagger_do_not_go_together(run: Run, tmp_path: Path, photos: Path, words: list[str]) -> None:
    run("tag.py", photos, *FIXED, "--out", tmp_path / "tags.jsonl")
    done = run("tag.py", photos, "--read", "tags.jsonl", *words)
    assert done.stderr == f"error: --read tags.jsonl asks no tagger; leave out {words[0]}\n"
    assert done.returncode == 2
    (tmp_path / "mine.py").write_text("model = None\n")
    assert "leave out mine.py" in run("tag.py", "mine.py", photos, "--read", "tags.jsonl").stderr


def test_names_are_those_of_a_data_set_with_the_same_roots(run: Run, tmp_path: Path, photos: Path) -> None:
    for name in ("a", "c"):
        write_image(tmp_path / "more" / f"{name}.png", torch.full((3, 4, 5), 0.75))
    (tmp_path / "some.txt").write_text("more/c.png\nphotos/below\n")
    for places in (["photos", "more"], ["photos"], ["some.txt"]):
        roots = [str(tmp_path / place) for place in places]
        assert run("tag.py", *roots, *FIXED, "--out", "tags.jsonl", "--overwrite").returncode == 0
        lines = [json.loads(line) for line in (tmp_path / "tags.jsonl").read_text().splitlines()]
        dataset = HRFolder(roots, [])
        assert [line["name"] for line in lines] == [picture.name for picture in dataset.pictures]


def test_two_pictures_of_one_name_and_a_changed_picture_are_refused(run: Run, tmp_path: Path, photos: Path) -> None:
    write_image(tmp_path / "other" / "photos" / "a.png", torch.full((3, 4, 5), 0.75))
    done = run("tag.py", photos, tmp_path / "other" / "photos", *FIXED)
    assert (done.returncode, "would both be photos/a" in done.stderr) == (2, True)
    run("tag.py", photos, *FIXED, "--out", tmp_path / "tags.jsonl")
    write_image(photos / "a.png", torch.full((3, 4, 5), 0.25))
    done = run("tag.py", photos, "--read", tmp_path / "tags.jsonl")
    assert (done.returncode, "tags for another picture named 'a'" in done.stderr) == (2, True)


def test_the_page_has_the_tables_of_the_last_measurement(script_folder: None) -> None:
    tables = runpy.run_path(str(ROOT / "tools" / "benchmarks" / "tagging.py"))["tables"]
    report = json.loads((ROOT / "docs" / "benchmarks" / "tagging.json").read_text())
    assert tables(report) in (ROOT / "docs" / "guidance_taggers.md").read_text()
