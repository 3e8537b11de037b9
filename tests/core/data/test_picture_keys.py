"""A picture is known again by what is in it."""

import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from linearsr.core.data import picture_keys
from linearsr.core.data.images import from_uint8, to_uint8
from linearsr.core.data.picture_keys import PictureKeys, checksum_of, content_of
from tests import strategies
from tests.core.data.conftest import picture

sides = st.integers(1, 40)


@settings(max_examples=30)
@given(seed=strategies.seeds, height=sides, width=sides)
def test_a_picture_held_at_8_bits_has_the_content_of_the_one_held_as_floats(seed: int, height: int, width: int) -> None:
    levels = to_uint8(picture(seed, height, width))
    assert content_of(levels) == content_of(from_uint8(levels))


@settings(max_examples=60)
@given(seed=strategies.seeds, height=sides, width=sides, data=st.data(), whole=st.booleans())
def test_any_changed_byte_is_another_content_and_one_of_each_eighth_row_of_green_another_checksum(
    seed: int, height: int, width: int, data, whole: bool
) -> None:
    before = picture(seed, height, width)
    before = to_uint8(before) if whole else before
    after = before.clone()
    channel = data.draw(st.integers(0, 2))
    values = after[channel].view(torch.uint8).reshape(-1)
    place = data.draw(st.integers(0, len(values) - 1))
    values[place] ^= data.draw(st.integers(1, 255))
    row = place * height // len(values)
    assert (checksum_of(after) != checksum_of(before)) == (channel == 1 and row % 8 == 0)
    assert content_of(after) != content_of(before)


def test_shape_type_and_place_count() -> None:
    plain = torch.zeros(3, 64, 64)
    moved = [plain.clone() for _ in range(2)]
    moved[0][1, 0, 0], moved[1][1, 56, 0] = 1.0, 1.0
    others = [plain, torch.zeros(3, 32, 128), plain.double(), to_uint8(plain), *moved]
    assert len({checksum_of(other) for other in others}) == len(others)


def test_strides_do_not_count() -> None:
    one = picture(0)
    assert checksum_of(one.transpose(1, 2).contiguous().transpose(1, 2)) == checksum_of(one)


def test_content_is_computed_once_for_a_name_and_again_when_the_picture_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    computed = []
    monkeypatch.setattr(picture_keys, "content_of", lambda given: computed.append(1) or content_of(given))
    name = ("set", "photo", "hr")
    keys = PictureKeys({name: {checksum_of(picture(0)): "from a table"}})
    assert keys(name, picture(0)) == "from a table"
    assert computed == []
    assert keys(name, picture(1)) == keys(name, picture(1)) == content_of(picture(1))
    assert len(computed) == 1
    assert keys(("set", "other", "hr"), picture(0)) == content_of(picture(0))


def test_a_tensor_that_comes_again_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = []
    monkeypatch.setattr(picture_keys, "checksum_of", lambda given: looked.append(1) or checksum_of(given))
    keys, held, name = PictureKeys(), picture(0), ("set", "photo", "hr")
    assert keys(name, held) == keys(name, held) == content_of(held)
    assert len(looked) == 1
    assert keys(name, picture(1)) == content_of(picture(1))
    assert pickle.loads(pickle.dumps(keys))(name, held) == content_of(held)
