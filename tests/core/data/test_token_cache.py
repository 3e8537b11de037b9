"""Tokens on disk: bit for bit those of one guidance, or refused."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from linearsr.core.data.cache import read_entry
from linearsr.core.data.recent import Recent
from linearsr.core.data.token_cache import RECORD, Description, TokenCache
from linearsr.core.data.token_entry import read_whole
from linearsr.core.data.token_table import PictureLine, known_pictures, read_table, table_path, write_table
from linearsr.core.errors import ConfigError, DataError
from tests import strategies

DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16]
WORDS = st.text(st.characters(codec="utf-8"))


def description(seed: int = 0, length: int = 3, dtype: torch.dtype = torch.float32, **told: object) -> Description:
    return Description(strategies.normal(seed, length, 4).to(dtype), torch.arange(length) < max(1, length - 1), told)


def begun(folder: Path, identity: str = "Toy", dtype: torch.dtype = torch.float32) -> TokenCache:
    cache = TokenCache(folder, identity)
    cache.begin(description(dtype=dtype).tokens)
    return cache


@settings(max_examples=30)
@given(
    seed=strategies.seeds,
    length=st.integers(1, 9),
    dtype=st.sampled_from(DTYPES),
    tags=st.lists(WORDS),
    prompt=st.none() | WORDS,
)
def test_what_is_put_comes_back_bit_for_bit(tmp_path_factory, seed: int, length: int, dtype, tags: list, prompt) -> None:
    cache, kept = begun(tmp_path_factory.mktemp("c"), dtype=dtype), description(seed, length, dtype, tags=tags)
    key = cache.key("content", prompt)
    cache.put(key, kept, "photo")
    found = TokenCache(cache.folder, "Toy").get(key)
    assert found is not None
    assert torch.equal(found.tokens, kept.tokens)
    assert torch.equal(found.mask, kept.mask)
    assert found.told == kept.told


@settings(max_examples=30)
@given(seed=strategies.seeds, length=st.integers(0, 9), dtype=st.sampled_from(DTYPES), words=WORDS)
def test_an_entry_read_in_one_go_is_what_the_general_reader_gives(tmp_path_factory, seed, length, dtype, words) -> None:
    cache = begun(tmp_path_factory.mktemp("c"), dtype=dtype)
    key = cache.key("content", None)
    cache.put(key, description(seed, length, dtype, prompt=words), "photo")
    path = cache.entries.path(key)
    quick, slow = read_whole(path), read_entry(path)
    assert quick is not None
    assert quick.keys() == slow.keys()
    assert all(torch.equal(quick[name], slow[name]) and quick[name].dtype == slow[name].dtype for name in slow)


@pytest.fixture(scope="module")
def entry(tmp_path_factory: pytest.TempPathFactory) -> tuple[TokenCache, str]:
    cache = begun(tmp_path_factory.mktemp("entry"))
    key = cache.key("content", None)
    cache.put(key, description(told="words"), "photo")
    return cache, key


@settings(max_examples=200)
@given(data=st.data(), change=st.integers(1, 255), cut=st.booleans())
def test_a_changed_byte_or_a_cut_anywhere_is_refused_or_changes_nothing(entry, data, change: int, cut: bool) -> None:
    """A space behind the header that becomes a tab changes nothing."""
    cache, key = entry
    path, kept = cache.entries.path(key), cache.get(key)
    whole = path.read_bytes()
    place, named = data.draw(st.integers(0, len(whole) - 1)), []
    try:
        path.write_bytes(whole[:place] if cut else whole[:place] + bytes([whole[place] ^ change]) + whole[place + 1 :])
        found = cache.get(key)
        assert not cut
        assert torch.equal(found.tokens, kept.tokens)
        assert torch.equal(found.mask, kept.mask)
        assert found.told == kept.told
    except DataError as error:
        named.append(key in str(error))
    finally:
        path.write_bytes(whole)
    assert named in ([], [True])


def test_tokens_whose_sum_overflows_are_finite(tmp_path: Path) -> None:
    cache = begun(tmp_path, dtype=torch.float16)
    key = cache.key("content", None)
    large = Description(torch.full((3, 4), 60000.0, dtype=torch.float16), torch.ones(3, dtype=torch.bool))
    cache.put(key, large, "photo")
    assert torch.equal(cache.get(key).tokens, large.tokens)


def test_keys_differ_by_content_prompt_identity_and_dtype(tmp_path: Path) -> None:
    caches = [begun(tmp_path / f"{i}", *of) for i, of in enumerate([("Toy",), ("Other",), ("Toy", torch.bfloat16)])]
    keys = {cache.key(content, prompt) for cache in caches for content in ("x", "y") for prompt in (None, "", "cat")}
    assert len(keys) == 18


def test_a_folder_of_another_guidance_is_refused_with_both_names(tmp_path: Path) -> None:
    begun(tmp_path / "c", "TagGuidance(Gemma, float32)")
    with pytest.raises(
        ConfigError, match=r"holds tokens of TagGuidance\(Gemma, float32\), and .* is TagGuidance\(T5, bfloat16\)"
    ):
        TokenCache(tmp_path / "c", "TagGuidance(T5, bfloat16)")


def test_one_that_was_begun_meanwhile_by_another_guidance_is_refused(tmp_path: Path) -> None:
    early = TokenCache(tmp_path, "One")
    begun(tmp_path, "Two")
    with pytest.raises(ConfigError, match=r"holds tokens of Two, and Describe\.guidance is One"):
        early.key("content", None)


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        (
            description(dtype=torch.bfloat16),
            r"photo: Toy gave bfloat16 \[3, 4\], and the cache .* holds float32 \[L, 4\] of Toy",
        ),
        (Description(torch.zeros(3, 5), torch.ones(3, dtype=torch.bool)), r"gave float32 \[3, 5\]"),
        (Description(torch.zeros(3, 4), torch.ones(2, dtype=torch.bool)), r"the mask is .* \[2\]; wanted bool \[3\]"),
        (
            Description(torch.tensor([[1, float("nan"), float("inf"), 0]]), torch.tensor([True])),
            "photo: 2 of 4 values are NaN or Inf",
        ),
    ],
)
def test_what_is_not_like_the_rest_is_not_written(tmp_path: Path, given_: Description, message: str) -> None:
    cache = begun(tmp_path)
    with pytest.raises(DataError, match=message):
        cache.put(cache.key("content", None), given_, "photo")
    assert list(cache.entries.entries()) == []


@pytest.mark.parametrize(
    "tensors",
    [
        {
            "tokens": torch.full((2, 4), float("nan")),
            "mask": torch.ones(2, dtype=torch.bool),
            "told": torch.tensor([123, 125]).byte(),
        },
        {"tokens": torch.zeros(2, 4), "mask": torch.ones(2, dtype=torch.bool)},
        {"tokens": torch.zeros(2, 4), "mask": torch.ones(2, dtype=torch.bool), "told": torch.tensor([255]).byte()},
    ],
)
def test_an_entry_that_is_none_is_named(tmp_path: Path, tensors: dict) -> None:
    cache = begun(tmp_path)
    key = cache.key("content", None)
    cache.entries.put(key, tensors)
    with pytest.raises(DataError, match=key):
        cache.get(key)
    assert [key in str(error) for error in cache.damaged()] == [True]


def test_a_folder_that_nobody_filled_says_how_to(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"c is empty: .*; fill it: python tools/cache_guidance.py"):
        TokenCache(tmp_path / "c", "Toy").key("content", None)


@pytest.mark.parametrize("text", ["{", "[]", '{"identity": "Toy"}', '{"identity": "T", "dtype": "x", "width": 1, "more": 2}'])
def test_a_damaged_record_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / RECORD).write_text(text)
    with pytest.raises(DataError, match=r"guidance\.json is damaged"):
        TokenCache(tmp_path, "Toy")


@given(names=st.lists(WORDS, unique=True, max_size=5), tags=st.lists(WORDS))
def test_a_table_reads_back_whatever_the_words_and_does_not_show_the_order_of_work(tmp_path_factory, names, tags) -> None:
    folder = tmp_path_factory.mktemp("c")
    lines = [PictureLine(name, "hr", {"tags": tags}, 3, "content", f"checksum {name}", "key") for name in names]
    path = table_path(folder, "set")
    write_table(path, lines)
    assert {str(line) for own in read_table(path).values() for line in own} == {str(line) for line in lines}
    once = path.read_bytes()
    write_table(path, lines[::-1])
    assert path.read_bytes() == once
    assert known_pictures(folder) == {("set", name, "hr"): {f"checksum {name}": "content"} for name in names}


def test_a_table_keeps_the_pictures_of_other_phases_and_replaces_its_own(tmp_path: Path) -> None:
    def line(name: str, kind: str, checksum: str) -> PictureLine:
        return PictureLine(name, kind, {}, 1, "content", checksum, "key")

    path = table_path(tmp_path, "set")
    write_table(path, [line("a", "hr", "1"), line("b", "lr", "2"), line("b", "lr", "3")])
    write_table(path, [line("b", "lr", "4"), line("a", "lr", "5")])
    checksums = {name: {own.checksum for own in lines} for name, lines in read_table(path).items()}
    assert checksums == {("a", "hr"): {"1"}, ("b", "lr"): {"4"}, ("a", "lr"): {"5"}}


def test_a_line_that_is_none_is_named(tmp_path: Path) -> None:
    path = table_path(tmp_path, "set")
    write_table(path, [PictureLine("a", "hr", {}, 1, "content", "checksum", "key")])
    path.write_text(path.read_text() + json.dumps({"name": "b"}) + "\n")
    with pytest.raises(DataError, match=r"set\.jsonl, line 2: .*delete the file"):
        known_pictures(tmp_path)


@given(sizes=st.lists(st.integers(0, 5), max_size=20), limit=st.integers(0, 60))
def test_the_newest_are_kept_and_never_more_than_the_limit(sizes: list[int], limit: int) -> None:
    recent, held = Recent(limit), [(torch.zeros(size, 1), torch.ones(size, dtype=torch.bool)) for size in sizes]
    for number, tokens in enumerate(held):
        recent.put(number, tokens)
        assert recent.held <= limit
    left = [number for number in range(len(sizes)) if recent.get(number) is not None]
    assert left == list(range(len(sizes)))[len(sizes) - len(left) :]
    assert recent.held == sum(5 * sizes[number] for number in left)  # 4 bytes of a token and one of its mask
