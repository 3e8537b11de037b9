"""Devices and number formats: what is tried is tried in earnest, so a format that computes wrongly is found out."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from linearsr.core.doctor import devices as probes
from linearsr.core.doctor.compilers import compiler, tried, triton
from linearsr.core.doctor.devices import TOLERANCE, devices, graphics, number_format
from linearsr.core.doctor.processes import gloo, nccl, processes


def test_this_machine_computes_in_float32() -> None:
    states = {finding.name: finding.state for finding in devices()}
    assert states["cpu"] == states["cpu float32"] == "ok"
    assert {f"cpu {name}" for name in TOLERANCE} <= set(states)


@pytest.mark.gpu
def test_a_cuda_device_computes_in_all_formats() -> None:
    states = {finding.name: finding.state for finding in devices()}
    assert states["cuda:0"] == "ok"
    assert {states[f"cuda:0 {name}"] for name in ("float32", "float16")} == {"ok"}


@pytest.mark.parametrize(("name", "state"), [("float32", "broken"), ("bfloat16", "warning")])
@pytest.mark.parametrize("wrong", [lambda x: x + 1, lambda x: x * float("nan")], ids=["off", "nan"])
def test_a_wrong_product_is_found_out(monkeypatch: pytest.MonkeyPatch, name: str, state: str, wrong: Any) -> None:
    real = probes._error
    monkeypatch.setattr(probes, "_error", lambda got, wanted: real(wrong(got), wanted))
    finding = number_format(torch, "cpu", name)
    assert finding.state == state
    assert "matrix product: is off by" in finding.detail
    assert "convolution: is off by" in finding.detail


def test_a_missing_kernel_is_told_and_the_other_operations_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> float:
        raise RuntimeError("\"slow_conv2d_cpu\" not implemented for 'Half'\nmore")

    monkeypatch.setattr(probes, "_convolution", refuse)
    finding = number_format(torch, "cpu", "bfloat16")
    assert finding.state == "warning"
    assert finding.detail == "convolution: RuntimeError: \"slow_conv2d_cpu\" not implemented for 'Half'"
    assert "float32" in finding.mend


def test_autocast_that_does_nothing_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    class Nothing(torch.autocast):
        def __init__(self, kind: str, dtype: torch.dtype):
            super().__init__(kind, dtype=dtype, enabled=False)

    monkeypatch.setattr(torch, "autocast", Nothing)
    assert "autocast: RuntimeError: gives torch.float32" in number_format(torch, "cpu", "bfloat16").detail


def fake_torch(devices: int, cuda: str | None) -> SimpleNamespace:
    """A torch that sees so many devices, built for this CUDA."""
    answers = SimpleNamespace(
        device_count=lambda: devices,
        mem_get_info=lambda index: (60 * 2**30, 80 * 2**30),
        get_device_capability=lambda index: (9, 0),
        get_device_name=lambda index: "H",
    )
    return SimpleNamespace(cuda=answers, version=SimpleNamespace(cuda=cuda), __version__="2.9")


@pytest.mark.parametrize(
    ("driver", "cuda", "state", "words"),
    [
        (False, None, "absent", "no device and no driver"),
        (False, "12.8", "absent", "no device and no driver"),
        (True, None, "warning", "built without CUDA"),
        (True, "12.8", "warning", "finds no device"),
    ],
)
def test_no_device_has_its_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, driver: bool, cuda: str | None, state: str, words: str
) -> None:
    monkeypatch.setattr(probes, "DRIVERS", (tmp_path,) if driver else ())
    (finding,) = graphics(fake_torch(0, cuda))
    assert finding.state == state
    assert words in finding.detail


def test_each_device_is_told_with_memory_and_capability() -> None:
    found = list(graphics(fake_torch(2, "12.8")))
    assert [finding.name for finding in found] == ["cuda:0", "cuda:1"]
    assert found[1].detail == "H, 60.0 of 80.0 GiB free, capability 9.0, CUDA 12.8"


def test_gloo_is_really_spoken_and_leaves_no_group_behind() -> None:
    assert processes()[0].state == "ok"
    assert not torch.distributed.is_initialized()


def test_a_gloo_that_fails_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise RuntimeError("unable to resolve hostname")

    monkeypatch.setattr(torch.distributed, "init_process_group", refuse)
    finding = gloo(torch.distributed)
    assert finding.state == "warning"
    assert "GLOO_SOCKET_IFNAME" in finding.mend


@pytest.mark.parametrize(
    ("here", "devices", "state"), [(True, 0, "ok"), (True, 2, "ok"), (False, 1, "absent"), (False, 2, "warning")]
)
def test_nccl_is_missed_only_by_several_devices(here: bool, devices: int, state: str) -> None:
    assert nccl(SimpleNamespace(is_nccl_available=lambda: here), devices).state == state


def test_the_compiler_that_is_named_is_the_one_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    finding = compiler()
    assert finding.state == "absent"
    assert "CXX=no-such-compiler" in finding.detail
    monkeypatch.delenv("CXX")
    monkeypatch.setenv("PATH", "")
    assert compiler().mend.startswith("apt-get install g++")


def test_triton_is_missed_only_by_a_cuda_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("linearsr.core.doctor.compilers.find_spec", lambda name: None)
    assert triton(cuda=False).state == "absent"
    assert triton(cuda=True).state == "warning"


def test_a_compiler_that_changes_numbers_or_fails_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda function: lambda x: function(x) * 1.01)
    assert tried("cpu").detail.startswith("gives another result")

    def refuse(function: object) -> None:
        raise RuntimeError("g++ died")

    monkeypatch.setattr(torch, "compile", refuse)
    assert tried("cpu").detail == "RuntimeError: g++ died"
    monkeypatch.setattr(torch, "compile", lambda function: function)
    assert tried("cpu").state == "ok"
