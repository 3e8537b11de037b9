"""What a template tells, and what it leaves out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linearsr.core.errors import ConfigError, DataError, ShapeError
from linearsr.guidance.prompt_template import PromptTemplate, checked_prompts, one_text, tag_names
from tests import strategies

PLACES = ("tags", "user", "positive")
WHOLE = PromptTemplate("{tags}, {user}, {positive}", ", ", PLACES)
TEXTS = st.text(max_size=12)


def values(**told):
    return dict.fromkeys(PLACES, "") | told


def test_seesr_prompt():
    told = values(tags="cat, sofa", user="at night", positive="clean, high-resolution, 8k")
    assert WHOLE.fill(told) == "cat, sofa, at night, clean, high-resolution, 8k"


@given(TEXTS, TEXTS, TEXTS)
def test_law_nothing_empty_stands_between_two_separators(tags, user, positive):
    told = values(tags=tags, user=user, positive=positive)
    assert WHOLE.fill(told) == ", ".join(" ".join(text.split()) for text in told.values() if text.split())


@given(TEXTS)
def test_law_what_is_told_is_not_read_as_a_template(text):
    braces = f"{{user}} {{0}} {{tags!r}} {text}"
    assert WHOLE.fill(values(tags=braces)) == " ".join(braces.split())


@given(st.sampled_from(["", " ", "\n\t"]))
def test_law_nothing_to_tell_is_the_empty_text(blank):
    assert PromptTemplate("a photo of {tags}, by {user}", ", ", PLACES).fill(values(tags=blank, user=blank)) == ""


@pytest.mark.parametrize(
    ("template", "told", "wanted"),
    [
        ("a photo of {tags}, {user}", {"tags": "cat"}, "a photo of cat"),
        ("a photo, of {tags}", {}, "a photo"),
        ("{tags} and {user}", {"tags": "cat"}, "cat and"),
        ("{{{tags}}}", {"tags": "cat"}, "{cat}"),
        ("{tags},,  , {user}", {"tags": "cat", "user": "dog"}, "cat | dog"),
    ],
)
def test_parts_without_anything_to_tell_are_left_out(template, told, wanted):
    assert PromptTemplate(template, " | ", PLACES).fill(values(**told)) == wanted


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{tag}", r"\{tag\}; did you mean 'tags'\?"),
        ("{}", r"its places are \{tags\}, \{user\}, \{positive\}"),
        ("{0}", "its places are"),
        ("{tags.name}", "its places are"),
        ("{tags!r}", "its places are"),
        ("{tags:>9}", "its places are"),
        ("{tags", "its places are"),
        ("tags}", "its places are"),
        ("{user}", r"without \{tags\}"),
    ],
)
def test_a_template_that_cannot_be_filled_is_refused(template, said):
    with pytest.raises(ConfigError, match=said):
        PromptTemplate(template, ", ", PLACES, required=["tags"])


def test_a_list_of_texts_is_one_text():
    assert one_text(["clean", "8k"], "guidance.positive", " | ") == "clean | 8k"
    assert one_text("clean, 8k", "guidance.positive", " | ") == "clean, 8k"


@pytest.mark.parametrize("value", [None, 3, ["clean", 8], {"clean": "8k"}])
def test_what_is_no_text_is_refused(value):
    with pytest.raises(ConfigError, match=r"guidance\.positive is .*wanted a text, or a list"):
        one_text(value, "guidance.positive")


def test_a_separator_is_a_text():
    with pytest.raises(ConfigError, match=r"guidance\.separator is 3"):
        PromptTemplate("{tags}", 3, PLACES)


@given(st.lists(strategies.tag_names, unique=True, max_size=5), st.sampled_from([", ", ",", "\n", " ,\n "]))
def test_law_tags_written_with_commas_or_line_ends_are_read_back(names, separator):
    assert tag_names(separator.join(names)) == names


@pytest.mark.parametrize("prompts", ["ab", [b"a", b"b"], ["a", None], ["a", 1]])
def test_what_is_no_list_of_texts_is_refused(prompts):
    with pytest.raises(DataError, match="wanted a"):
        checked_prompts(prompts, 2)


def test_there_is_a_prompt_for_each_picture():
    assert checked_prompts(("a", ""), 2) == ["a", ""]
    with pytest.raises(ShapeError, match="3 prompts for 2 pictures"):
        checked_prompts(["a"] * 3, 2)
