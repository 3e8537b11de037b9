"""The check of taggers names the law that a broken one breaks."""

import pytest
import torch

from linearsr.core.errors import DataError
from linearsr.core.structures import Tag
from linearsr.guidance.taggers.conformance import check_tagger
from linearsr.guidance.taggers.pictures import checked_pictures


class Colours:
    """A tagger in a few lines: the mean of each colour is its score."""

    order = "score"
    identity = "Colours"

    def told(self, picture):
        scores = picture.mean((1, 2)).tolist()
        return sorted((Tag(*pair) for pair in zip(("red", "green", "blue"), scores, strict=True)), key=lambda tag: -tag.score)

    def __call__(self, image_01):
        return [self.told(picture) for picture in checked_pictures(image_01)]


class FirstOfTheBatch(Colours):
    def __call__(self, image_01):
        return super().__call__(image_01[:1].expand_as(image_01))


class Restless(Colours):
    def told(self, picture):
        return super().told(picture * torch.rand(1))


class Ascending(Colours):
    def told(self, picture):
        return super().told(picture)[::-1]


class Twice(Colours):
    def told(self, picture):
        return [*super().told(picture), Tag("Red", 0.0)]


class Joined(Colours):
    def told(self, picture):
        return [Tag("red | green", 0.5)]


class Percent(Colours):
    def told(self, picture):
        return [Tag(tag.name, 100 * tag.score) for tag in super().told(picture)]


class Names(Colours):
    def told(self, picture):
        return [tag.name for tag in super().told(picture)]


class OneList(Colours):
    def __call__(self, image_01):
        return super().__call__(image_01)[0]


class ChangesThePicture(Colours):
    def __call__(self, image_01):
        return super().__call__(image_01.mul_(0.5))


class AcceptsNaN(Colours):
    def __call__(self, image_01):
        return super().__call__(image_01.nan_to_num(0, 1))


class NoTinyOnes(Colours):
    def __call__(self, image_01):
        if min(image_01.shape[2:]) < 8:
            raise DataError("too small")
        return super().__call__(image_01)


class ForgetsItsWeights(Colours):
    gain = 1.0

    def told(self, picture):
        return super().told(picture * self.gain)

    def unload(self):
        self.gain = 0.5


class Nameless(Colours):
    identity = ""


def test_a_tagger_of_one_s_own_conforms():
    other = Colours()
    other.identity = "Colours, too"
    check_tagger(Colours(), others=[other]).require()


@pytest.mark.parametrize(
    ("broken", "law"),
    [
        (FirstOfTheBatch, "do not depend on the batch"),
        (Restless, "same tags"),
        (Restless, "random numbers"),
        (Ascending, "order that is declared"),
        (Twice, "one name twice"),
        (Joined, "words for a prompt"),
        (Percent, "in 0..1"),
        (Names, "a list of Tag"),
        (OneList, "a list of Tag"),
        (ChangesThePicture, "left alone"),
        (AcceptsNaN, "NaN and Inf"),
        (NoTinyOnes, "tiny and odd"),
        (ForgetsItsWeights, "given back"),
        (Nameless, "identity is a text"),
    ],
)
def test_the_check_names_the_law_that_a_broken_tagger_breaks(broken, law):
    report = check_tagger(broken())
    assert any(law in finding.law for finding in report.failed), str(report)


def test_options_that_do_not_show_in_the_identity_are_found():
    report = check_tagger(Colours(), others=[Colours()])
    assert [finding.law for finding in report.failed] == ["other options are another identity"]
