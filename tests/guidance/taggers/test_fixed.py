"""The same tags for everyone."""

import pytest
import torch

from linearsr.core.errors import ConfigError
from linearsr.guidance import FixedTags
from linearsr.guidance.taggers.conformance import check_tagger


def test_every_picture_gets_the_list_in_its_order():
    told = FixedTags(["zebra", "fire_engine", "富士山"])(torch.rand(2, 3, 4, 5))
    assert [[tag.name for tag in tags] for tags in told] == [["zebra", "fire engine", "富士山"]] * 2
    assert all(tag.score == 1 for tags in told for tag in tags)


@pytest.mark.parametrize("tags", [[], ["cat"], [f"tag {i}" for i in range(5000)]], ids=len)
def test_none_one_and_five_thousand_tags_keep_the_contract(tags):
    check_tagger(
        FixedTags(tags), others=[FixedTags([*tags, "another"]), FixedTags(["another", *tags][:2])] if tags else ()
    ).require()


@pytest.mark.parametrize("tags", ["cat, dog", ["cat", 3], ["cat", " "], ["cat", "cat"]])
def test_what_is_no_list_of_names_is_refused(tags):
    with pytest.raises(ConfigError, match=r"tagger\.tags"):
        FixedTags(tags)
