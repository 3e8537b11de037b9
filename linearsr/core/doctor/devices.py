"""Devices, their memory, and what each number format really does on them: a matrix product, a convolution, autocast."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from linearsr.core.doctor.finding import Finding, cause_of

GIB = 1024**3
TOLERANCE = {"float32": 1e-2, "bfloat16": 5e-2, "float16": 5e-2}
"""Largest mean error, relative to float64, of a format that works. TF32 and bfloat16 keep 8 to 11 bits; wrong kernels are
off by the size of the result."""
DRIVERS = (Path("/proc/driver/nvidia/version"), Path("/dev/nvidia0"))


def devices() -> list[Finding]:
    """Raises ImportError where torch cannot be imported."""
    import torch

    found = [processor(), *graphics(torch)]
    for device in ("cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))):
        found += [number_format(torch, device, name) for name in TOLERANCE]
    return found


def processor() -> Finding:
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    detail = f"{cores} cores for this process, {torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}"
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        detail += f", {os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / GIB:.1f} GiB memory"
    return Finding("cpu", "ok", detail)


def graphics(torch: Any) -> Iterator[Finding]:
    """torch: the module. One for each CUDA device, or one that says why there is none."""
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        major, minor = torch.cuda.get_device_capability(index)
        detail = (
            f"{torch.cuda.get_device_name(index)}, {free / GIB:.1f} of {total / GIB:.1f} GiB free, "
            f"capability {major}.{minor}, CUDA {torch.version.cuda}"
        )
        yield Finding(f"cuda:{index}", "ok", detail)
    if torch.cuda.device_count():
        return
    driver = any(path.exists() for path in DRIVERS)
    if driver and torch.version.cuda is None:
        mend = "pip uninstall -y torch && pip install torch  (one with CUDA: pytorch.org/get-started/locally)"
        yield Finding("cuda", "warning", f"a driver is here, but torch {torch.__version__} is built without CUDA", mend)
    elif driver:
        detail = f"a driver is here, but torch {torch.__version__} (CUDA {torch.version.cuda}) finds no device"
        yield Finding(
            "cuda", "warning", detail, "nvidia-smi, and CUDA_VISIBLE_DEVICES, say why; or the driver is older than this CUDA"
        )
    else:
        yield Finding(
            "cuda",
            "absent",
            "no device and no driver; everything runs on the CPU",
            "use a machine with a GPU to train large models",
        )


def number_format(torch: Any, device: str, name: str) -> Finding:
    """Tries it, forward and, under autocast, backward. float32 is needed; the others only where a config asks for them."""
    failed = {}
    for operation, attempt in (("matrix product", _product), ("convolution", _convolution), ("autocast", _autocast)):
        if (operation, name) == ("autocast", "float32"):
            continue  # float32 is what autocast leaves alone
        try:
            error = attempt(torch, device, getattr(torch, name))
        except Exception as cause:  # missing kernels say so in many ways
            failed[operation] = cause_of(cause)
            continue
        if not error <= TOLERANCE[name]:
            failed[operation] = f"is off by {error:.2g} of its size"
    label = f"{device} {name}"
    if not failed:
        return Finding(
            label, "ok", "matrix product and convolution" + ("" if name == "float32" else ", plain and under autocast")
        )
    detail = "; ".join(f"{operation}: {why}" for operation, why in failed.items())
    if name == "float32":
        return Finding(label, "broken", detail, "pip install --force-reinstall torch")
    return Finding(label, "warning", detail, "leave optim_wrapper.dtype='float32' on this device")


def _product(torch: Any, device: str, dtype: Any) -> float:
    a, b = _numbers(torch, 32, 48), _numbers(torch, 48, 40)
    return _error(a.to(device, dtype) @ b.to(device, dtype), a @ b)


def _convolution(torch: Any, device: str, dtype: Any) -> float:
    x, w = _numbers(torch, 1, 8, 16, 16), _numbers(torch, 8, 8, 3, 3)
    convolve = torch.nn.functional.conv2d
    return _error(convolve(x.to(device, dtype), w.to(device, dtype)), convolve(x, w))


def _autocast(torch: Any, device: str, dtype: Any) -> float:
    x, w = _numbers(torch, 32, 48), _numbers(torch, 40, 48)
    x32, w32 = x.to(device, torch.float32), w.to(device, torch.float32).requires_grad_()
    with torch.autocast(torch.device(device).type, dtype=dtype):
        y = torch.nn.functional.linear(x32, w32)
    if y.dtype is not dtype:
        raise RuntimeError(f"gives {y.dtype}")
    y.float().sum().backward()
    return max(_error(y.detach(), x @ w.T), _error(w32.grad, x.sum(0).expand_as(w)))


def _numbers(torch: Any, *shape: int) -> Any:
    """float64 in −1..1, each time the same."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(len(shape) + shape[0]), dtype=torch.float64) * 2 - 1


def _error(got: Any, wanted: Any) -> float:
    """Mean absolute error by mean absolute value; NaN where a number is not finite."""
    return float((got.detach().cpu().double() - wanted).abs().mean() / wanted.abs().mean())
