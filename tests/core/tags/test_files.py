"""Tags beside a picture and in a table: what was written is read, what does not fit is refused."""

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linearsr.core.errors import DataError
from linearsr.core.structures import Tag
from linearsr.core.tags import TagRecord, read_tag_table, sidecar, write_tag_file, write_tag_table
from linearsr.core.tags.files import without_repetition
from tests.strategies import tag_names

unique_tags = st.lists(tag_names, max_size=5, unique_by=str.casefold)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tags")


def written(file):
    return [name for name in file.read_text(encoding="utf-8").removesuffix("\n").split(", ") if name]


@given(unique_tags)
def test_names_in_any_script_survive_a_text_file(folder, names):
    write_tag_file(folder / "a.txt", [Tag(name, 0.3) for name in names])
    assert written(folder / "a.txt") == names


@given(st.lists(st.tuples(unique_tags, st.integers(0, 10_000)), max_size=3))
def test_names_and_scores_of_four_digits_survive_a_table(folder, pictures):
    records = [
        TagRecord(f"p{i}", tuple(Tag(name, score / 10_000) for name in names), f"{i:064x}" if i else None)
        for i, (names, score) in enumerate(pictures)
    ]
    write_tag_table(folder / "t.jsonl", records)
    table = read_tag_table(folder / "t.jsonl")
    assert list(table.records.values()) == records


@pytest.mark.parametrize("count", [0, 5000])
def test_no_tags_and_five_thousand_are_tags(tmp_path, count):
    tags = tuple(Tag(f"tag {i}") for i in range(count))
    write_tag_file(tmp_path / "a.txt", tags)
    write_tag_table(tmp_path / "t.jsonl", [TagRecord("a", tags)])
    assert written(tmp_path / "a.txt") == [tag.name for tag in tags]
    assert read_tag_table(tmp_path / "t.jsonl").tags_of("a") == tags


def test_tags_of_another_picture_are_refused(tmp_path):
    picture, table = tmp_path / "cat.png", tmp_path / "tags.jsonl"
    picture.write_bytes(b"a cat")
    write_tag_table(table, [TagRecord.of_file("cat", [Tag("cat")], picture)])
    assert read_tag_table(table).tags_of("cat", picture) == (Tag("cat"),)
    picture.write_bytes(b"a dog")
    os.utime(picture, ns=(1, 1))
    with pytest.raises(DataError, match=r"tags for another picture named 'cat'.*cat\.png"):
        read_tag_table(table).tags_of("cat", picture)
    with pytest.raises(DataError, match="no tags for 'cap'; did you mean 'cat'"):
        read_tag_table(table).tags_of("cap")


def test_a_line_edited_by_hand_needs_a_name_and_tags_only(tmp_path):
    (tmp_path / "t.jsonl").write_text('\n{"name": "a/b", "tags": ["cat", "sofa"]}\n\n')
    assert read_tag_table(tmp_path / "t.jsonl").tags_of("a/b", tmp_path / "t.jsonl") == (Tag("cat"), Tag("sofa"))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 2 is no JSON"),
        ("[]", 'wanted {"name"'),
        ('{"name": "b"}', 'wanted {"name"'),
        ('{"name": "b", "tags": [], "score": []}', "unknown key 'score'; did you mean 'scores'"),
        ('{"name": "b", "tags": "cat, dog"}', "tags in a list"),
        ('{"name": "b", "tags": ["cat, dog"]}', "a tag is 'cat, dog'; wanted a name without commas"),
        ('{"name": "b", "tags": [""]}', "a tag is ''"),
        ('{"name": "b", "tags": ["cat", "dog"], "scores": [1]}', "1 scores for 2 tags"),
        ('{"name": "b", "tags": ["cat"], "scores": [NaN]}', "a score is nan; wanted a number in 0..1"),
        ('{"name": "b", "tags": ["cat"], "scores": [2]}', "a score is 2"),
        ('{"name": "b", "tags": ["cat"], "scores": 1}', "scores are 1; wanted a list"),
        ('{"name": "b", "tags": [], "sha256": 5}', "a sha256 in quotes"),
        ('{"name": "a", "tags": []}', "'a' has had a line before"),
    ],
)
def test_a_line_that_cannot_be_meant_is_named(tmp_path, line, said):
    (tmp_path / "t.jsonl").write_text('{"name": "a", "tags": []}\n' + line)
    with pytest.raises(DataError) as caught:
        read_tag_table(tmp_path / "t.jsonl")
    assert "t.jsonl, line 2" in str(caught.value)
    assert said in str(caught.value)


def test_a_missing_file_or_another_encoding_is_one_error(tmp_path):
    (tmp_path / "latin.txt").write_bytes("Bär".encode("latin-1"))
    for name in ("nowhere.txt", "latin.txt"):
        with pytest.raises(DataError, match=rf"{name} cannot be read.*wanted UTF-8"):
            read_tag_table(tmp_path / name)


def test_a_table_that_cannot_be_written_leaves_the_old_one(tmp_path):
    write_tag_table(tmp_path / "t.jsonl", [TagRecord("a", (Tag("cat"),))])
    for bad in ([TagRecord("b", (Tag("cat, dog"),))], [TagRecord("b", ()), TagRecord("b", ())]):
        with pytest.raises(DataError):
            write_tag_table(tmp_path / "t.jsonl", bad)
    assert json.loads((tmp_path / "t.jsonl").read_text()) == {"name": "a", "tags": ["cat"]}
    assert [path.name for path in tmp_path.iterdir()] == ["t.jsonl"]


def test_the_sidecar_has_the_picture_s_name():
    assert str(sidecar("photos/a.b.png")) == "photos/a.b.txt"


@given(st.lists(st.sampled_from(["a", "A", "b", "ß", "SS"])))
def test_names_are_told_once_whatever_their_capitals(names):
    kept = [names[i] for i in without_repetition(names)]
    assert {name.casefold() for name in kept} == {name.casefold() for name in names}
    assert len({name.casefold() for name in kept}) == len(kept)
