"""Whether what is installed can be imported: each package by itself, then the registries, which need them all."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from importlib import import_module

from linearsr.core.doctor.finding import Finding, cause_of
from linearsr.core.doctor.packages import OPENCV, installed, wanted

MODULES = {
    "numpy": "numpy",
    "torch": "torch",
    "PIL.Image": "pillow",
    "cv2": "opencv-python-headless",
    "einops": "einops",
    "safetensors.torch": "safetensors",
    "rich.console": "rich",
    "mmengine.runner": "mmengine",
    "mmcv.transforms": "mmcv-lite",
}
"""Module -> the distribution to install again where it fails. Those that others import come first."""

CURES = {
    r"libGL|libgthread|libglib|libSM|libXext|libXrender": "apt-get install libgl1 libglib2.0-0, or without root: "
    "pip uninstall -y opencv-python && pip install opencv-python-headless",
    r"'distutils|'setuptools|'pkg_resources": "pip install 'setuptools>=77'",
    r"compiled using NumPy 1|numpy\.core\.multiarray|_ARRAY_API": "pip install --upgrade numpy opencv-python-headless",
}
"""What the message of a failed import says -> what mends it, for causes that are not in the package itself."""


def imports(modules: Iterable[str] = tuple(MODULES)) -> list[Finding]:
    """One for each module. One that fails by the same cause as another before it refers to that."""
    findings: list[Finding] = []
    blamed: dict[str, str] = {}
    for module in modules:
        try:
            import_module(module)
        except Exception as error:  # a package may fail in any way on the way in
            cause = cause_of(error)
            mend = f"mend {blamed[cause]} first" if cause in blamed else _cure(cause, module)
            blamed.setdefault(cause, module)
            findings.append(Finding(f"import {module}", "broken", cause, mend))
        else:
            findings.append(Finding(f"import {module}", "ok", "imported"))
    return findings


def components() -> list[Finding]:
    """Every home of our registries is imported, which is what a config does first."""
    try:
        from linearsr.core.registries import ALL

        count = sum(len(registry.own()) for registry in ALL)
    except Exception as error:  # whatever stands in the way of a config
        mend = "mend the imports above first; if there are none, report this line with the output of --json"
        return [Finding("components", "broken", cause_of(error), mend)]
    return [Finding("components", "ok", f"{count} of linearsr in {len(ALL)} registries")]


def _cure(cause: str, module: str) -> str:
    for pattern, cure in CURES.items():
        if re.search(pattern, cause):
            return cure
    name = MODULES.get(module, module.partition(".")[0])
    if module == "cv2":
        name = next(filter(installed, OPENCV), name)
    if installed(name) is None:
        return f"pip install {shlex.quote(wanted(name))}"
    return f"pip install --force-reinstall --no-deps {name}=={installed(name)}"
