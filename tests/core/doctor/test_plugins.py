"""Plugins: each entry point of our groups is loaded; one that fails is named with its distribution and its cause."""

from pathlib import Path

import pytest

from linearsr.core.doctor.finding import Finding
from linearsr.core.doctor.plugins import plugins
from tests.plugins.packages import ATTENTION, install

GROUP = "linearsr.attention"


def only() -> Finding:
    (finding,) = plugins()
    return finding


def test_none_is_fine() -> None:
    assert only().state == "ok"


def test_one_that_loads_is_named_with_its_distribution(site: Path) -> None:
    install(site, "doctor_good", "doctor_good", ATTENTION.format(name="Pool"), {"Pool": "doctor_good:Pool"}, GROUP)
    assert only() == Finding("linearsr.attention: Pool", "ok", "doctor_good 1.0 at doctor_good:Pool")


@pytest.mark.parametrize(
    ("source", "detail", "mend"),
    [
        ("import no_such_kernels", "No module named 'no_such_kernels'", "pip install no_such_kernels, which it lacks, or "),
        ("raise SystemExit('no GPU')", "SystemExit: no GPU", "pip uninstall doctor_ill, or "),
        ("", "AttributeError", "pip uninstall doctor_ill, or "),
    ],
)
def test_one_that_fails_is_a_warning_with_its_cause(site: Path, source: str, detail: str, mend: str) -> None:
    install(site, "doctor_ill", "doctor_ill", source, {"Ill": "doctor_ill:Ill"}, GROUP)
    finding = only()
    assert finding.state == "warning"
    assert finding.detail.startswith("doctor_ill 1.0 at doctor_ill:Ill: ")
    assert detail in finding.detail
    assert finding.mend.startswith(mend)


def test_two_that_claim_one_name_are_both_named(site: Path) -> None:
    for name in ("doctor_one", "doctor_two"):
        install(site, name, name, ATTENTION.format(name="Pool"), {"Pool": f"{name}:Pool"}, GROUP)
    finding = only()
    assert finding.state == "warning"
    for owner in ("doctor_one 1.0", "doctor_two 1.0"):
        assert owner in finding.detail
    assert finding.mend.split(",")[0] in ("pip uninstall doctor_one", "pip uninstall doctor_two")  # one may stay


def test_one_that_claims_a_name_of_ours_is_told_to_go(site: Path) -> None:
    entry = {"ReLULinearAttention": "doctor_thief:Pool"}
    install(site, "doctor_thief", "doctor_thief", ATTENTION.format(name="Pool"), entry, GROUP)
    finding = only()
    assert finding.state == "warning"
    assert "which is linearsr.attention" in finding.detail


def test_a_group_that_nothing_reads_names_the_nearest(site: Path) -> None:
    install(site, "doctor_typo", "doctor_typo", "", {"Pool": "doctor_typo:Pool"}, "linearsr.atention")
    finding = only()
    assert finding.state == "warning"
    assert "did you mean 'linearsr.attention'?" in finding.detail
