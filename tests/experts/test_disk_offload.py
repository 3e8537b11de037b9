"""Experts that wait on disk: in mapped files that nobody sees, with nothing left in memory or in the folder."""

import copy
import errno
import gc
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from linearsr.core.errors import ConfigError
from linearsr.core.weights import read_state_dict, write_safetensors
from linearsr.experts import disk_offload
from linearsr.experts.disk_offload import ALIGNMENT, write_mapped
from linearsr.experts.offloading import tensors_of
from tests.experts.test_offloading import sample
from tests.experts.toy_mixture import PATTERNS, assert_same_state, make
from tests.strategies import normal, seeds

ROOT = Path(__file__).parents[2]
DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.bool]

reads_proc = pytest.mark.skipif(not Path("/proc/self/smaps").is_file(), reason="asks Linux what is mapped")


def mapped(folder: Path) -> list[range]:
    """Addresses that are mapped from files in `folder`."""
    lines = [line.split() for line in Path("/proc/self/maps").read_text().splitlines() if f" {folder}/" in line]
    return [range(*(int(end, 16) for end in words[0].split("-"))) for words in lines]


def lie_in(tensors, places: list[range]) -> bool:
    return all(any(tensor.data_ptr() in place for place in places) for tensor in tensors)


@settings(max_examples=30)
@given(
    seeds,
    st.lists(
        st.tuples(st.lists(st.integers(1, 4), max_size=4), st.sampled_from(DTYPES), st.booleans(), st.booleans()), max_size=5
    ),
)
def test_what_is_mapped_has_values_order_and_a_storage_of_its_own(seed, described):
    tensors = []
    for shape, dtype, turned, spread in described:
        tensor = (10 * normal(seed, *shape, 1)[..., 0]).to(dtype)
        tensor = tensor.expand(2, *shape) if spread else tensor
        tensors.append(tensor.permute([*reversed(range(tensor.ndim))]) if turned else tensor)
    places = write_mapped(tensors)
    for place, tensor in zip(places, tensors, strict=True):
        assert (place.dtype, place.stride()) == (tensor.dtype, tensor.clone().stride())
        assert torch.equal(place, tensor)
        assert place.data_ptr() % ALIGNMENT == 0
    assert len({place.untyped_storage().data_ptr() for place in places}) == len(places)


@reads_proc
@pytest.mark.parametrize("per_expert", [None, PATTERNS])
def test_originals_lie_in_mapped_files_without_names_until_the_mixture_is_gone(tmp_path, per_expert):
    mixture = make(offload="disk", offload_folder=str(tmp_path), per_expert=per_expert).eval()
    state = make(5, per_expert=per_expert).state_dict()
    for change in (
        sample,
        lambda mixture: mixture.load_state_dict(state),
        lambda mixture: mixture.load_state_dict(copy.deepcopy(state), assign=True),
        lambda mixture: mixture.bfloat16().float(),
    ):
        change(mixture)
        mixture.offload.release_all(list(mixture.experts))
        assert all(lie_in(tensors_of(expert), mapped(tmp_path)) for expert in mixture.experts)
    assert len(mapped(tmp_path)) == 4  # files of before a change are gone
    twin = copy.deepcopy(mixture)
    assert len(mapped(tmp_path)) == 8
    assert list(tmp_path.iterdir()) == []
    del mixture, twin
    gc.collect()
    assert mapped(tmp_path) == []


def test_its_state_can_be_saved_and_loaded(tmp_path):
    mixture = make(offload="disk", offload_folder=str(tmp_path)).eval()
    sample(mixture)
    torch.save(mixture.state_dict(), tmp_path / "w.pth")
    write_safetensors(tmp_path / "w.safetensors", mixture.state_dict())
    for name in ("w.pth", "w.safetensors"):
        assert_same_state(read_state_dict(tmp_path / name), make().state_dict())


def test_a_folder_that_is_not_there_and_a_full_disk_are_refused_by_the_key(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match=r"expert 0 cannot be written to .*nowhere.*denoiser\.offload_folder"):
        make(offload="disk", offload_folder=str(tmp_path / "nowhere"))

    def full(**options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(disk_offload, "TemporaryFile", full)
    with pytest.raises(ConfigError, match=r"No space left.*set denoiser\.offload_folder"):
        make(offload="disk")


@pytest.mark.parametrize("offload", [None, "host"])
def test_a_folder_without_files_is_refused(tmp_path, offload):
    with pytest.raises(ConfigError, match=r"denoiser\.offload_folder .*denoiser\.offload=\"disk\""):
        make(offload=offload, offload_folder=str(tmp_path))


@reads_proc
def test_memory_holds_two_experts_of_six_at_most_with_the_others_on_disk(tmp_path):
    # freed blocks go back to the system at once, or they would count as memory of the process
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    words = [sys.executable, str(ROOT / "tests" / "experts" / "big_expert.py"), str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=environment)
    on_disk, in_memory = map(float, done.stdout.split())
    assert on_disk < 2.5  # the expert at work, the next one, and half an expert's size for whatever else there is
    assert in_memory > 6  # all of them and a copy: so the figure means something
