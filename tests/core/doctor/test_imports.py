"""Imports: a package that does not import is a finding with its cause, and the line that mends that cause."""

import sys
from pathlib import Path

import pytest

from linearsr.core.doctor import imports as probes
from linearsr.core.doctor.imports import MODULES, components, imports


def module(site: Path, name: str, source: str) -> str:
    (site / f"{name}.py").write_text(source)
    return name


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_everything_that_is_needed_imports_here() -> None:
    assert {finding.state for finding in imports()} == {"ok"}
    assert len(imports()) == len(MODULES)


@pytest.mark.parametrize(
    ("message", "mend"),
    [
        ("libGL.so.1: cannot open shared object file", "apt-get install libgl1 libglib2.0-0"),
        ("libgthread-2.0.so.0: cannot open shared object file", "apt-get install libgl1 libglib2.0-0"),
        ("No module named 'distutils'", "pip install 'setuptools>=77'"),
        ("No module named 'pkg_resources'", "pip install 'setuptools>=77'"),
        ("numpy.core.multiarray failed to import", "pip install --upgrade numpy"),
    ],
)
def test_a_known_cause_has_its_own_mend(site: Path, message: str, mend: str) -> None:
    name = module(site, "ill_by_a_known_cause", f"raise ImportError({message!r})")
    (finding,) = imports([name])
    assert finding.state == "broken"
    assert finding.detail == f"ImportError: {message}"
    assert finding.mend.startswith(mend)


def test_a_package_that_is_here_but_fails_is_installed_again_in_its_version(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "einops", None)  # as Python marks a module that cannot be imported
    monkeypatch.setattr(probes, "installed", {"einops": "0.8.1"}.get)
    (finding,) = imports(["einops"])
    assert finding.mend == "pip install --force-reinstall --no-deps einops==0.8.1"
    monkeypatch.setattr(probes, "installed", lambda name: None)
    assert imports(["einops"])[0].mend == "pip install 'einops>=0.8'"


def test_cv2_is_installed_again_as_the_flavour_that_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    monkeypatch.setattr(probes, "installed", {"opencv-python": "4.12"}.get)
    assert imports(["cv2"])[0].mend.endswith(" opencv-python==4.12")


def test_what_fails_by_the_same_cause_refers_to_the_first(site: Path) -> None:
    first = module(site, "ill_root", "raise OSError('libcud.so: wrong ELF class')")
    second = module(site, "ill_branch", "import ill_root")
    third = module(site, "ill_leaf", "import ill_branch")
    findings = imports([first, second, third])
    assert findings[1].mend == findings[2].mend == "mend ill_root first"
    assert findings[0].mend != findings[1].mend


def test_the_cause_that_began_it_is_shown(site: Path) -> None:
    name = module(site, "ill_twice", "try:\n    1 / 0\nexcept Exception as e:\n    raise RuntimeError('outer') from e")
    assert imports([name])[0].detail == "ZeroDivisionError: division by zero"


def test_components_of_all_registries_are_counted_or_the_cause_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert components()[0].state == "ok"
    monkeypatch.setitem(sys.modules, "linearsr.core.registries", None)
    (finding,) = components()
    assert finding.state == "broken"
    assert "linearsr.core.registries" in finding.detail
