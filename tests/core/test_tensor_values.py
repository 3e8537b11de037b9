"""A dtype or a device is torch's own, or refused by its key."""

import pytest
import torch

from linearsr.core.autoencoders.frozen import FrozenAutoencoder
from linearsr.core.errors import ConfigError
from linearsr.core.tensor_values import DTYPES, DTYPES_AND_FLOAT64, require_device, require_dtype
from linearsr.guidance.image_guidance import PatchGuidance
from linearsr.guidance.taggers.network import NetworkTagger
from linearsr.guidance.taggers.selection import Selection


@pytest.mark.parametrize("name", DTYPES_AND_FLOAT64)
def test_a_dtype_is_the_one_of_its_name(name):
    assert require_dtype(name, "part.dtype", DTYPES_AND_FLOAT64) is getattr(torch, name)


@pytest.mark.parametrize("name", ["bfloat61", "float64", "", None, 16, ["float32"], torch.float32])
def test_another_dtype_is_refused_with_what_came_what_is_wanted_and_the_key(name):
    with pytest.raises(ConfigError) as caught:
        require_dtype(name, "part.dtype", DTYPES)
    for words in (f"part.dtype is {name!r}", "wanted 'float32', 'bfloat16', 'float16'; change part.dtype"):
        assert words in str(caught.value)


def test_a_mistyped_dtype_is_told_its_neighbour():
    with pytest.raises(ConfigError, match="did you mean 'bfloat16'"):
        require_dtype("bfloat61", "part.dtype", DTYPES)


def devices(monkeypatch, count):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)


@pytest.mark.parametrize("name", ["cpu", "cuda", "cuda:0", "cuda:1"])
def test_a_device_that_torch_sees_is_given(monkeypatch, name):
    devices(monkeypatch, 2)
    assert require_device(name, "part.device") == torch.device(name)


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "", None])
def test_what_is_no_device_is_refused(name):
    with pytest.raises(ConfigError, match=rf"part\.device is {name!r}; wanted 'cpu', 'cuda', .*; change part\.device"):
        require_device(name, "part.device")


@pytest.mark.parametrize(("count", "name", "said"), [(0, "cuda", "no"), (0, "cuda:0", "no"), (2, "cuda:2", "2")])
def test_a_device_that_torch_does_not_see_is_refused(monkeypatch, count, name, said):
    devices(monkeypatch, count)
    with pytest.raises(ConfigError, match=rf"part\.device is '{name}' and torch sees {said} CUDA devices here"):
        require_device(name, "part.device")


def test_a_card_that_a_driver_counts_and_torch_cannot_use_is_not_there(monkeypatch):
    devices(monkeypatch, 2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="torch sees no CUDA devices"):
        require_device("cuda", "part.device")


class Frozen(FrozenAutoencoder):
    build = to_latent = to_image = None


class Tagger(NetworkTagger):
    load = scores = None


class Patches(PatchGuidance):
    architecture = features = None


@pytest.mark.parametrize(
    ("key", "made"),
    [
        ("autoencoder", lambda device: Frozen(8, 4, 1.0, 0.0, None, "float32", device)),
        ("tagger", lambda device: Tagger(Selection(), {}, [], device, "float32")),
        ("guidance", lambda device: Patches(None, 8, False, "lr", device, "float32")),
    ],
)
def test_every_frozen_part_is_refused_a_device_that_is_not_there_when_it_is_built(monkeypatch, key, made):
    devices(monkeypatch, 0)
    with pytest.raises(ConfigError, match=rf"{key}\.device is 'cuda' and torch sees no CUDA devices"):
        made("cuda")
