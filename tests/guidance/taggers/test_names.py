"""Words of a prompt, and when two classes are one thing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linearsr.core.errors import ConfigError
from linearsr.guidance.taggers.names import lemmas, prompt_name, told_name, without_synonyms
from tests.strategies import class_names


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("fire_engine", "fire engine"),
        ("a | b", "a b"),
        ("two\nlines", "two lines"),
        ("  wide   gap ", "wide gap"),
        ("jack-o'-lantern", "jack-o'-lantern"),
        ("富士山", "富士山"),
        (",_|", ""),
    ],
)
def test_what_separates_tags_is_never_part_of_one(text, name):
    assert prompt_name(text) == name


@given(st.text())
def test_a_prompt_name_is_its_own_prompt_name(text):
    assert prompt_name(prompt_name(text)) == prompt_name(text)


def test_the_first_of_a_class_s_synonyms_is_told():
    assert lemmas("tabby, tabby_cat") == ("tabby", "tabby cat")
    assert told_name("building | edifice") == "building"
    with pytest.raises(ConfigError, match="a name with letters"):
        told_name(" , ")


@pytest.mark.parametrize(
    ("classes", "told"),
    [
        (["sports car", "sport car"], [0]),
        (["cat", "tabby, tabby cat"], [0]),
        (["tabby, tabby cat", "cat"], [0]),
        (["boxes", "box", "dishes", "dish", "Glasses", "glass"], [0, 2, 4]),
        (["tree frog", "tree-frog"], [0]),
        (["giant panda, panda", "lesser panda, red panda, panda"], [0]),
        (["horse", "horse cart"], [0, 1]),
        (["Egyptian cat", "tiger cat", "tabby, tabby cat"], [0, 1, 2]),
        (["gas", "ga", "bus", "bu", "iris", "iri"], [0, 1, 2, 3, 4, 5]),
        (["sea lion", "lion"], [0]),
        (["猫", "子猫"], [0, 1]),
    ],
)
def test_two_classes_are_one_by_the_last_words_of_their_singulars(classes, told):
    assert without_synonyms(classes) == told


@given(class_names)
def test_what_is_kept_is_kept_again(classes):
    kept = [classes[i] for i in without_synonyms(classes)]
    assert without_synonyms(kept) == list(range(len(kept)))


@given(class_names)
def test_the_highest_is_kept_and_every_class_has_one_of_its_kind_among_the_kept(classes):
    kept = without_synonyms(classes)
    assert kept[:1] == [0][: len(classes)]
    for i in range(len(classes)):
        assert i in kept or any(without_synonyms([classes[k], classes[i]]) == [0] for k in kept if k < i)
