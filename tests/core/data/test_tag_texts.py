"""Tags of a table, told to the guidance."""

from pathlib import Path

import pytest

from linearsr.core.data import HRFolder, write_image
from linearsr.core.errors import ConfigError, DataError
from linearsr.core.registries import GUIDANCE
from linearsr.core.structures import Tag
from linearsr.core.tags import TagRecord, write_tag_table
from tests.core.data.conftest import picture
from tests.guidance.fakes import ENCODER

LOAD = {"type": "LoadPictures"}


@pytest.fixture
def table(photos: Path, tmp_path: Path) -> Path:
    """Of every picture but the last, with hashes."""
    pictures = HRFolder(str(photos), []).pictures[:-1]
    tags = (Tag("tabby", 0.8), Tag("sofa", 0.1))
    write_tag_table(tmp_path / "t.jsonl", [TagRecord.of_file(one.name, tags, Path(str(one.hr))) for one in pictures])
    return tmp_path / "t.jsonl"


def read(photos: Path, table: Path, **options: object) -> HRFolder:
    return HRFolder(str(photos), [{"type": "ReadTagTable", "file": str(table), **options}, LOAD])


def test_each_picture_is_told_its_tags_and_those_without_a_line_the_default(photos: Path, table: Path) -> None:
    told = [sample["prompt"] for sample in read(photos, table, default="")]
    assert told == ["tabby, sofa"] * (len(told) - 1) + [""]
    guidance = {"type": "TagGuidance", "prompts_replace_tags": True, "tagger": {"type": "FixedTags"}, "text_encoder": ENCODER}
    sample = read(photos, table, default="")[0]
    assert GUIDANCE.build(guidance).explain(sample["hr"][None], [sample["prompt"]])[0].prompt == "tabby, sofa"


def test_a_line_of_another_picture_and_a_missing_one_are_refused(photos: Path, table: Path) -> None:
    dataset = read(photos, table)
    with pytest.raises(DataError, match=r"has no tags for"):
        dataset[len(dataset) - 1]
    dataset[0]
    write_image(Path(str(HRFolder(str(photos), []).pictures[0].hr)), picture(99))
    with pytest.raises(DataError, match="has tags for another picture named"):
        read(photos, table)[0]


def test_bad_options_and_a_wrong_place_are_refused(photos: Path, table: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.jsonl cannot be read"):
        read(photos, tmp_path / "nowhere.jsonl")
    with pytest.raises(ConfigError, match=r"ReadTagTable\.default is 3"):
        read(photos, table, default=3)
    with pytest.raises(ConfigError, match="ReadTagTable finds no picture's path"):
        HRFolder(str(photos), [LOAD, {"type": "ReadTagTable", "file": str(table)}])[0]


def test_a_line_without_a_hash_is_for_whatever_picture_has_the_name(photos: Path, tmp_path: Path) -> None:
    names = [one.name for one in HRFolder(str(photos), []).pictures]
    write_tag_table(tmp_path / "t.jsonl", [TagRecord(name, (Tag("cat"),)) for name in names])
    after_loading = HRFolder(str(photos), [LOAD, {"type": "ReadTagTable", "file": str(tmp_path / "t.jsonl")}])
    assert after_loading[0]["prompt"] == "cat"
