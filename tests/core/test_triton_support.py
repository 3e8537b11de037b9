"""Triton is used where it works and does without where it does not; CUDA's answers are made up, the kernel is interpreted."""

import subprocess
import sys

import pytest
import torch
from torch.utils._python_dispatch import _get_current_dispatch_mode

pytest.importorskip("triton")

from linearsr.core import triton_check, triton_probe
from linearsr.core.triton_check import OLDEST_CARD, triton_works
from linearsr.core.triton_support import on_triton
from tests.compiled import CARDS, compile_for
from tests.interpreted import interpreted


@pytest.fixture
def launched(monkeypatch):
    """The devices on which a kernel was tried, of a machine whose cards are just new enough."""
    devices = []
    monkeypatch.delenv(triton_check.SWITCH, raising=False)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index: OLDEST_CARD)
    monkeypatch.setattr(triton_probe, "launch", devices.append)
    triton_check._works.cache_clear()
    yield devices
    triton_check._works.cache_clear()


def test_a_kernel_is_tried_once_on_each_device(launched):
    assert [triton_works(index) for index in (0, 1, 0)] == [True] * 3
    assert launched == [torch.device("cuda", 0), torch.device("cuda", 1)]


@pytest.mark.parametrize("reason", ["not installed", "switched off", "an old card"])
def test_nothing_is_tried_or_warned_of_where_triton_is_out_of_the_question(launched, monkeypatch, reason):
    if reason == "not installed":
        monkeypatch.setattr(triton_check, "find_spec", lambda name: None)
    elif reason == "switched off":
        monkeypatch.setenv("LINEARSR_TRITON", "0")
    else:
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index: (7, 5))
    assert not triton_works(0)
    assert not launched


def test_a_kernel_that_fails_is_one_warning_with_its_reason(launched, monkeypatch):
    def fail(device):
        launched.append(device)
        raise RuntimeError("Failed to find C compiler")

    monkeypatch.setattr(triton_probe, "launch", fail)
    with pytest.warns(UserWarning, match=r"cuda:3 \(RuntimeError: Failed to find C compiler\).*LINEARSR_TRITON=0"):
        assert not triton_works(3)
    assert not triton_works(3)
    assert len(launched) == 1


def test_a_triton_that_cannot_be_imported_is_a_warning_too(launched, monkeypatch):
    monkeypatch.setitem(sys.modules, "linearsr.core.triton_probe", None)
    with pytest.warns(UserWarning, match="ModuleNotFoundError"):
        assert not triton_works(0)


def test_compiled_code_asks_while_it_is_traced_without_a_break(launched, monkeypatch):
    def launch(device):
        assert _get_current_dispatch_mode() is None  # a kernel needs real memory, not the tracer's
        launched.append(device)

    monkeypatch.setattr(triton_probe, "launch", launch)
    compiled = torch.compile(lambda x: x + 1 if triton_works(0) else x, fullgraph=True, backend="eager")
    assert [compiled(torch.zeros(1)).item() for _ in range(2)] == [1, 1]
    assert len(launched) == 1


def test_a_tensor_on_a_cpu_asks_nothing(launched):
    assert not on_triton(torch.zeros(1))
    assert not launched


def test_work_on_a_cpu_never_imports_triton():
    code = """
import sys, torch
from linearsr.attention.functional import relu_linear_attention
from linearsr.core.backbones import GatedConvFeedForward
x = torch.ones(1, 1, 6, 4, requires_grad=True)
relu_linear_attention(x, x, x).sum().backward()
GatedConvFeedForward(4)(x[0], (2, 3)).sum().backward()
sys.exit("triton" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_probe_writes_what_it_should_and_compiles_for_every_card():
    with interpreted(triton_probe):
        assert triton_probe.launch(torch.device("cpu")).tolist() == [1]
    for card in CARDS:
        assert compile_for(card, triton_probe.probe_kernel, {"out": "*fp32"}, {"enable_fp_fusion": True}).asm["cubin"]


@pytest.mark.gpu
def test_triton_works_on_a_card_that_is_new_enough():
    triton_check._works.cache_clear()
    assert triton_works(0) == (torch.cuda.get_device_capability(0) >= OLDEST_CARD)
    assert on_triton(torch.zeros(1, device="cuda")) == triton_works(0)
    if triton_works(0):
        assert triton_probe.launch(torch.device("cuda", 0)).tolist() == [1]
