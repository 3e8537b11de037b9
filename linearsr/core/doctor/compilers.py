"""What `model.compile_denoiser` needs: a C++ compiler on CPUs, triton on CUDA devices."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec

from linearsr.core.doctor.finding import Finding, cause_of

WITHOUT = "or leave model.compile_denoiser=False"


def compilers(full: bool = False) -> list[Finding]:
    """full: also compiles a function of two lines, which takes up to a minute."""
    import torch

    cuda = torch.cuda.device_count() > 0
    found = [compiler(), triton(cuda)]
    return [*found, *(tried(device) for device in ("cpu", *["cuda"] * cuda))] if full else found


def compiler() -> Finding:
    """The one that torch would take: $CXX, then the usual names."""
    named = os.environ.get("CXX")
    for name in (named,) if named else ("g++", "clang++", "c++"):
        path = shutil.which(name)
        if path:
            return Finding("C++ compiler", "ok", path)
    detail = f"CXX={named} is not there" if named else "none; torch.compile on CPUs needs one"
    return Finding("C++ compiler", "absent", detail, f"{'unset CXX' if named else 'apt-get install g++'}, {WITHOUT}")


def triton(cuda: bool) -> Finding:
    """cuda: whether there is a device that would need it."""
    if find_spec("triton") is not None:
        return Finding("triton", "ok", "installed")
    if cuda:
        return Finding("triton", "warning", "not installed; torch.compile on CUDA needs it", f"pip install triton, {WITHOUT}")
    return Finding("triton", "absent", "not installed; only CUDA devices need it", "comes with a torch built for CUDA on Linux")


def tried(device: str) -> Finding:
    """torch.compile of a small function on the device "cpu" or "cuda", held against the function itself."""
    import torch

    def function(x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x * 2 - 1).sum(-1)

    x = torch.linspace(0, 1, 4096, device=device).view(64, 64)
    name = f"torch.compile on {device}"
    try:
        made = torch.compile(function)(x)
    except Exception as error:  # compilers fail in many ways
        return Finding(name, "warning", cause_of(error), f"mend the compiler above, {WITHOUT}")
    if not torch.allclose(made, function(x), rtol=1e-4):  # float32 sums of 64 in another order
        return Finding(name, "warning", "gives another result than the function itself", WITHOUT.removeprefix("or "))
    return Finding(name, "ok", "compiled and equal")
