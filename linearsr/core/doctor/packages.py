"""Python and the distributions that linearsr asks for, read from its own metadata: nothing is imported."""

from __future__ import annotations

import platform
import shlex
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution, version

from linearsr.core.doctor.finding import Finding

NAME = "linearsr"
OPENCV = ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")
"""Four distributions of one package `cv2`."""


def packages() -> list[Finding]:
    """Python, everything that linearsr cannot do without, and distributions that must not be here together."""
    if installed(NAME) is None:
        mend = "pip install --editable .  (in its folder; it brings all that it needs)"
        return [Finding(NAME, "broken", "runs from its folder, but is not installed", mend)]
    return [python(), Finding(NAME, "ok", version(NAME)), *dependencies(), *mmcv(), *opencv()]


def python() -> Finding:
    from packaging.specifiers import SpecifierSet

    here = platform.python_version()
    asked = distribution(NAME).metadata["Requires-Python"] or ""
    if here in SpecifierSet(asked, prereleases=True):
        return Finding("python", "ok", here)
    mend = f"make a virtual environment with a Python {asked}"
    return Finding("python", "broken", f"{here}; wanted {asked}", mend)


def dependencies() -> Iterator[Finding]:
    for requirement in requirements():
        here = installed(requirement.name)
        if here is None and requirement.name == "mmcv-lite" and installed("mmcv"):
            continue  # `mmcv` says it: the plain mend, to install it, would make things worse
        if here is not None and requirement.specifier.contains(here, prereleases=True):
            yield Finding(requirement.name, "ok", here)
        else:
            detail = f"{here or 'not installed'}; wanted {requirement.specifier or 'any'}{_why(requirement.name)}"
            yield Finding(requirement.name, "broken", detail, f"pip install {shlex.quote(wanted(requirement.name))}")


def mmcv() -> Iterator[Finding]:
    """mmcv and mmcv-lite are one package `mmcv`, with and without compiled operators."""
    if installed("mmcv") is None:
        return
    mend = f"pip uninstall -y mmcv mmcv-lite && pip install {shlex.quote(wanted('mmcv-lite'))}"
    if installed("mmcv-lite") is None:
        detail = f"mmcv {installed('mmcv')} in place of mmcv-lite: the same transforms, not the version that is tested"
        yield Finding("mmcv", "warning", detail, mend)
    else:
        detail = f"mmcv {installed('mmcv')} and mmcv-lite {installed('mmcv-lite')} write into one folder; only one may be here"
        yield Finding("mmcv", "broken", detail, mend)


def opencv() -> Iterator[Finding]:
    here = [name for name in OPENCV if installed(name)]
    if len(here) == 1:
        yield Finding(here[0], "ok", str(installed(here[0])))
    elif here:
        mend = f"pip uninstall -y {' '.join(here)} && pip install {here[-1]}"
        yield Finding("opencv", "warning", f"{' and '.join(here)} write into one folder cv2; the last installed wins", mend)
    else:
        mend = f"pip install {OPENCV[1]}"
        yield Finding("opencv", "broken", "not installed; mmengine and mmcv import cv2", mend)


def requirements(extra: str = "") -> list:
    """packaging's Requirement of everything that linearsr asks for, on this machine; with `extra`, of that extra alone."""
    from packaging.requirements import Requirement

    found = []
    for line in distribution(NAME).requires or []:
        requirement = Requirement(line)
        of_extra = requirement.marker is not None and "extra" in str(requirement.marker)
        if of_extra is bool(extra) and (requirement.marker is None or requirement.marker.evaluate({"extra": extra})):
            found.append(requirement)
    return found


def wanted(name: str) -> str:
    """`torch>=2.6`, as linearsr asks for it; the name alone where nothing is known."""
    try:
        return next((f"{name}{one.specifier}" for one in requirements() if one.name == name), name)
    except (PackageNotFoundError, ModuleNotFoundError):  # linearsr is not installed, or packaging is not
        return name


def installed(name: str) -> str | None:
    """Its version, or None."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _why(name: str) -> str:
    return "; mmengine imports distutils, which Python has no longer had since 3.12" if name == "setuptools" else ""
