"""Distributions: read from metadata, held against what linearsr asks for, each lack with the line that mends it."""

import sys
from collections.abc import Iterable

import pytest

from linearsr.core.doctor import packages as rooms
from linearsr.core.doctor.extras import extras
from linearsr.core.doctor.finding import Finding
from linearsr.core.doctor.packages import OPENCV, dependencies, mmcv, opencv, packages, python, requirements, wanted
from tests.core.doctor.conftest import Installed


def found(findings: Iterable[Finding], name: str) -> Finding:
    return next(finding for finding in findings if finding.name == name)


def versions(monkeypatch: pytest.MonkeyPatch, **known: str | None) -> None:
    """As if these were the installed versions (an underscore for a hyphen); others as they are."""
    real = rooms.installed
    pretended = {name.replace("_", "-"): version for name, version in known.items()}
    monkeypatch.setattr(rooms, "installed", lambda name: pretended.get(name) if name in pretended else real(name))


def test_this_environment_has_what_linearsr_asks_for() -> None:
    assert [finding for finding in packages() if finding.state == "broken"] == []
    assert found(packages(), "mmengine").detail == "0.10.7"


def test_a_package_that_is_missing_or_of_another_version_is_mended_by_what_linearsr_asks_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    versions(monkeypatch, mmengine="0.9.0", einops=None)
    old, gone = found(dependencies(), "mmengine"), found(dependencies(), "einops")
    assert (old.state, old.mend) == ("broken", "pip install mmengine==0.10.7")
    assert old.detail == "0.9.0; wanted ==0.10.7"
    assert (gone.state, gone.mend) == ("broken", "pip install 'einops>=0.8'")
    assert gone.detail.startswith("not installed; wanted >=0.8")


def test_a_missing_setuptools_says_why_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    versions(monkeypatch, setuptools=None)
    assert "mmengine imports distutils" in found(dependencies(), "setuptools").detail


def test_a_python_that_is_too_new_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert python().state == "ok"
    monkeypatch.setattr("platform.python_version", lambda: "3.14.1")
    finding = python()
    assert finding.state == "broken"
    assert finding.detail.startswith("3.14.1; wanted ")
    assert "<3.14" in finding.mend


def test_mmcv_and_mmcv_lite_at_once_are_broken(pretend: Installed) -> None:
    assert list(mmcv()) == []
    pretend("mmcv", "2.1.0")
    (finding,) = mmcv()
    assert finding.state == "broken"
    assert "mmcv 2.1.0 and mmcv-lite 2.2.0" in finding.detail
    assert finding.mend == "pip uninstall -y mmcv mmcv-lite && pip install mmcv-lite==2.2.0"


def test_mmcv_alone_is_not_told_to_install_mmcv_lite_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    versions(monkeypatch, mmcv="2.2.0", mmcv_lite=None)
    assert not [finding for finding in dependencies() if finding.name == "mmcv-lite"]
    (finding,) = mmcv()
    assert finding.state == "warning"
    assert finding.mend.startswith("pip uninstall -y mmcv ")


@pytest.mark.parametrize(
    ("here", "state", "mend"),
    [
        ((), "broken", "pip install opencv-python-headless"),
        (("opencv-python",), "ok", ""),
        (
            ("opencv-python", "opencv-python-headless"),
            "warning",
            "pip uninstall -y opencv-python opencv-python-headless && pip install opencv-python-headless",
        ),
    ],
)
def test_one_flavour_of_opencv_is_wanted(here: tuple[str, ...], state: str, mend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "installed", lambda name: "4.12" if name in here else None)
    (finding,) = opencv()
    assert set(here) <= set(OPENCV)
    assert (finding.state, finding.mend) == (state, mend)


def test_a_folder_that_is_not_installed_is_one_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    versions(monkeypatch, linearsr=None)
    (finding,) = packages()
    assert finding.state == "broken"
    assert finding.mend.startswith("pip install --editable .")


def test_what_is_wanted_is_a_bare_name_where_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    assert wanted("mmengine") == "mmengine==0.10.7"
    assert wanted("of-nobody") == "of-nobody"
    monkeypatch.setitem(sys.modules, "packaging.requirements", None)
    assert wanted("mmengine") == "mmengine"
    monkeypatch.setattr(rooms, "NAME", "linearsr-of-nobody")
    assert wanted("mmengine") == "mmengine"


def test_requirements_are_those_of_the_extra_alone(pretend: Installed) -> None:
    lines = ("torch>=2", "scikit-image>=0.25; extra == 'photos'", "winonly; sys_platform == 'nowhere'")
    pretend("linearsr", "9.0", requires=lines, extras=("photos",))
    assert [one.name for one in requirements()] == ["torch"]
    assert [one.name for one in requirements("photos")] == ["scikit-image"]


def test_extras_come_from_the_metadata_and_may_name_one_another(pretend: Installed) -> None:
    lines = (
        "numpy; extra == 'small'",
        "no-such-package>=3; extra == 'large'",
        "numpy>=99; extra == 'large'",
        "linearsr[small,ring]; extra == 'all'",
        "linearsr[all]; extra == 'ring'",
    )
    pretend("linearsr", "9.0", requires=lines, extras=("small", "large", "all", "ring"))
    by_name = {finding.name: finding for finding in extras()}
    assert by_name["small"].state == by_name["all"].state == by_name["ring"].state == "ok"
    assert by_name["all"].detail.startswith("numpy ")
    large = by_name["large"]
    assert (large.state, large.mend) == ("absent", "pip install 'linearsr[large]'")
    assert "no-such-package not installed, wanted >=3" in large.detail
    assert "wanted >=99" in large.detail
