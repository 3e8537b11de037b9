"""From scores to tags."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from linearsr.core.errors import ConfigError, ShapeError
from linearsr.guidance.taggers.selection import Selection

CLASSES = ["bird", "fish", "stone", "cloud", "lamp", "rope"]
score_lists = st.lists(st.floats(0, 1, width=32), min_size=6, max_size=6)


@given(score_lists, st.floats(0, 1))
def test_told_is_exactly_what_is_above_the_threshold_strictly(scores, threshold):
    told = Selection(threshold).choose(torch.tensor(scores), CLASSES)
    bar = torch.tensor(threshold, dtype=torch.float32).item()
    assert {tag.name for tag in told} == {name for name, score in zip(CLASSES, scores, strict=True) if score > bar}


@given(score_lists)
def test_a_score_that_equals_its_class_s_threshold_is_not_told(scores):
    assert Selection(scores).choose(torch.tensor(scores), CLASSES) == []


@given(score_lists)
def test_thresholds_belong_to_their_classes(scores):
    bars = [0.0 if i % 2 else 1.0 for i in range(6)]
    told = {tag.name for tag in Selection(bars).choose(torch.tensor(scores), CLASSES)}
    assert told == {CLASSES[i] for i in (1, 3, 5) if scores[i] > 0}


@given(score_lists, st.integers(1, 8))
def test_the_highest_are_told_and_both_orders_tell_the_same(scores, most):
    by_score, by_index = (Selection(0, most, order).choose(torch.tensor(scores), CLASSES) for order in ("score", "index"))
    assert [tag.score for tag in by_score] == sorted((score for score in scores if score > 0), reverse=True)[:most]
    assert [CLASSES.index(tag.name) for tag in by_index] == sorted(CLASSES.index(tag.name) for tag in by_score)


def test_equal_scores_are_told_in_the_order_of_the_classes():
    told = Selection(0, 3).choose(torch.full((6,), 0.5), CLASSES)
    assert [tag.name for tag in told] == CLASSES[:3]


def test_of_synonyms_the_highest_score_is_told_and_they_do_not_use_up_the_count():
    scores = torch.tensor([0.8, 0.9, 0.5])
    classes = ["sports car", "sport car", "road"]
    assert [tag.name for tag in Selection(0, 2).choose(scores, classes)] == ["sport car", "road"]
    kept = Selection(0, 2, drop_synonyms=False).choose(scores, classes)
    assert [tag.name for tag in kept] == ["sport car", "sports car"]


def test_a_name_that_two_classes_share_is_told_once_in_any_case():
    told = Selection(0, drop_synonyms=False).choose(torch.tensor([0.3, 0.6]), ["crane", "crane"])
    assert [(tag.name, round(tag.score, 3)) for tag in told] == [("crane", 0.6)]


def test_thresholds_of_the_network_count_only_where_none_are_given():
    scores, classes = torch.tensor([0.7, 0.7]), ["bird", "fish"]
    assert [tag.name for tag in Selection(None).choose(scores, classes, own=[0.65, 0.8])] == ["bird"]
    assert Selection(0.9).choose(scores, classes, own=[0.65, 0.8]) == []
    with pytest.raises(ConfigError, match=r"set tagger\.threshold"):
        Selection(None).choose(scores, classes)


def test_five_thousand_classes_are_told_if_all_are_above():
    classes = [f"thing{i}a" for i in range(5000)]
    told = Selection(0, order="index").choose(torch.linspace(0.1, 0.9, 5000), classes)
    assert [tag.name for tag in told] == classes


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"threshold": 1.5}, r"tagger\.threshold"),
        ({"threshold": "0.5"}, r"tagger\.threshold"),
        ({"threshold": [0.5, float("nan")]}, r"tagger\.threshold\[1\]"),
        ({"max_tags": 0}, r"tagger\.max_tags"),
        ({"order": "scores"}, "did you mean 'score'"),
        ({"drop_synonyms": "no"}, r"tagger\.drop_synonyms"),
    ],
)
def test_what_cannot_be_is_refused_with_its_key(options, key):
    with pytest.raises(ConfigError, match=key):
        Selection(**options)


def test_another_number_of_classes_is_refused():
    with pytest.raises(ShapeError, match="3 classes"):
        Selection().choose(torch.zeros(2), ["a", "b", "c"])
    with pytest.raises(ConfigError, match="2 numbers for 3 classes"):
        Selection([0.1, 0.2]).choose(torch.zeros(3), ["a", "b", "c"])
