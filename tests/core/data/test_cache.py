"""The cache: an entry reads back bit for bit or is refused."""

import multiprocessing
import os
import shutil
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from linearsr.core.data.cache import TensorCache, content_hash, entry_key
from linearsr.core.errors import ConfigError, DataError
from tests import strategies

KEY = entry_key({"scale": 4}, "content")
DTYPES = [torch.uint8, torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.bool]


def tensors(seed: int, dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    values = 100 * strategies.normal(seed, 3, 4, 5)
    return {"lr": values.to(dtype), "latent": values[:1].to(dtype)}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """Bit for bit."""
    return one.keys() == other.keys() and content_hash(one) == content_hash(other)


@settings(max_examples=40)
@given(seed=strategies.seeds, dtype=st.sampled_from(DTYPES), data=st.data())
def test_an_entry_reads_back_bit_for_bit_or_is_refused(tmp_path_factory: pytest.TempPathFactory, seed, dtype, data) -> None:
    cache, kept = TensorCache(tmp_path_factory.mktemp("cache")), tensors(seed, dtype)
    cache.put(KEY, kept)
    found = cache.get(KEY)
    assert same(found, kept)
    assert all(torch.equal(found[name], kept[name]) for name in kept)
    content = bytearray(cache.path(KEY).read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content = content[:place]
    else:
        content[place] ^= data.draw(st.integers(1, 255))
    cache.path(KEY).write_bytes(content)
    with suppress(DataError):
        assert same(cache.get(KEY), kept)


def test_nan_and_signed_zero_keep_their_bits(tmp_path: Path) -> None:
    values = {"x": torch.tensor([float("nan"), -0.0, float("inf")])}
    cache = TensorCache(tmp_path)
    cache.put(KEY, values)
    assert same(cache.get(KEY), values)
    assert content_hash({"x": torch.tensor([0.0])}) != content_hash({"x": torch.tensor([-0.0])})


def test_what_is_not_there_is_none(tmp_path: Path) -> None:
    cache = TensorCache(tmp_path / "new")
    assert cache.get(KEY) is None
    assert KEY not in cache
    assert list(cache.entries()) == []
    cache.put(KEY, tensors(0))
    assert KEY in cache
    assert list(cache.entries()) == [cache.path(KEY)]


def test_an_entry_under_another_name_is_refused(tmp_path: Path) -> None:
    cache, other = TensorCache(tmp_path), entry_key({"scale": 2}, "content")
    cache.put(KEY, tensors(0))
    cache.path(other).parent.mkdir(exist_ok=True)
    shutil.copy(cache.path(KEY), cache.path(other))
    with pytest.raises(DataError, match=f"it was written as {KEY}"):
        cache.get(other)


def test_a_key_depends_on_settings_content_and_version(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {entry_key(s, c) for s in ({"scale": 4}, {"scale": 2}, [1], "a") for c in ("x", "y")}
    assert len(keys) == 8
    assert entry_key({"a": 1, "b": (2, 3)}, "x") == entry_key({"b": [2, 3], "a": 1}, "x")
    before = entry_key(1, "x")
    monkeypatch.setattr("linearsr.core.data.cache.__version__", "99")
    assert entry_key(1, "x") != before
    with pytest.raises(ConfigError, match="wanted plain data"):
        entry_key({"kernel": object()}, "x")


@pytest.mark.parametrize(
    "other",
    [{"y": torch.zeros(2, 3)}, {"x": torch.zeros(3, 2)}, {"x": torch.zeros(2, 3).double()}, {"x": torch.ones(2, 3)}, {}],
)
def test_a_content_hash_sees_names_shapes_dtypes_and_values(other: dict[str, torch.Tensor]) -> None:
    assert content_hash(other) != content_hash({"x": torch.zeros(2, 3)})


def test_a_content_hash_does_not_see_strides(tmp_path: Path) -> None:
    x = strategies.normal(0, 4, 5)
    assert content_hash({"x": x}) == content_hash({"x": x.T.contiguous().T})


@pytest.mark.parametrize("key", ["", "../" * 21 + "x", KEY.upper(), KEY[:-1]])
def test_what_is_no_key_is_refused(tmp_path: Path, key: str) -> None:
    with pytest.raises(DataError, match="is no key of a cache"):
        TensorCache(tmp_path).get(key)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"file cannot be written: .*set another folder"):
        TensorCache(tmp_path / "file").put(KEY, tensors(0))


def test_an_entry_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = TensorCache(tmp_path)
    cache.put(KEY, tensors(0))

    def half(content, path, metadata):
        Path(path).write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr("linearsr.core.data.cache.save_file", half)
    with pytest.raises(DataError, match="No space left"):
        cache.put(KEY, tensors(1))
    assert same(cache.get(KEY), tensors(0))
    assert len(os.listdir(cache.path(KEY).parent)) == 1


def _write_often(folder: str) -> None:
    for _ in range(40):
        TensorCache(folder).put(KEY, tensors(3))


def test_writers_of_one_entry_do_not_disturb_each_other_or_a_reader(tmp_path: Path) -> None:
    cache, want = TensorCache(tmp_path), tensors(3)
    writers = [multiprocessing.get_context("fork").Process(target=_write_often, args=(str(tmp_path),)) for _ in range(2)]
    for writer in writers:
        writer.start()
    seen = 0
    while any(writer.is_alive() for writer in writers):
        if (found := cache.get(KEY)) is not None:
            assert same(found, want)
            seen += 1
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert same(cache.get(KEY), want)
    assert os.listdir(cache.path(KEY).parent) == [cache.path(KEY).name]
