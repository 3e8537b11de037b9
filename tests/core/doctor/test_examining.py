"""The whole: a probe that fails is a finding, the verdict follows the worst, and nothing heavy stands at the top of a file."""

import json
import subprocess
import sys
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linearsr.core.doctor import Finding, examine, healthy, print_report, report_json
from linearsr.core.doctor.finding import cause_of

STATES = st.sampled_from(["ok", "absent", "warning", "broken"])
OK = Finding("a", "ok", "fine")
ILL = Finding("b", "broken", "[red]no[/red]", "pip install 'b[all]'")


def test_the_doctor_itself_imports_nothing_that_may_be_broken() -> None:
    heavy = "('torch', 'cv2', 'mmengine', 'numpy', 'rich', 'packaging', 'importlib_metadata', 'wandb')"
    code = f"import linearsr.core.doctor, sys; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


@given(states=st.lists(STATES, max_size=6))
def test_law_healthy_is_that_nothing_is_broken(states: list) -> None:
    found = {"area": [Finding("x", state, "d", "" if state == "ok" else "m") for state in states]}
    assert healthy(found) is ("broken" not in states)
    assert json.loads(report_json(found))["healthy"] is healthy(found)


@given(state=STATES, mend=st.text(max_size=3))
def test_law_all_but_ok_have_one_line_that_mends(state: str, mend: str) -> None:
    allowed = (state == "ok") == (mend == "") and "\n" not in mend
    if allowed:
        assert Finding("x", state, "d", mend).mend == mend  # type: ignore[arg-type]
    else:
        with pytest.raises(ValueError, match="wanted"):
            Finding("x", state, "d", mend)  # type: ignore[arg-type]


def test_a_probe_that_fails_is_a_finding_and_the_rest_run(capsys: pytest.CaptureFixture[str]) -> None:
    def lacking() -> list[Finding]:
        import no_such_package.inner

        return [no_such_package.inner]

    def noisy() -> list[Finding]:
        print("welcome to our package")
        raise RuntimeError("boom\nmore")

    found = examine(probes={"first": lacking, "second": noisy, "third": lambda: [OK]})
    assert found["first"][0].mend == "pip install no_such_package"
    assert found["second"][0].detail == "could not be examined: RuntimeError: boom"
    assert found["third"] == [OK]
    printed = capsys.readouterr()
    assert printed.out == ""  # --json stays JSON whatever a package prints
    assert "welcome" in printed.err


def test_only_full_compiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("linearsr.core.doctor.compilers.tried", lambda device: Finding(f"tried {device}", "ok", ""))
    compiled = [finding.name for finding in examine(full=True, probes={})["compiling"]]
    assert "tried cpu" in compiled
    assert examine(full=False, probes={}) == {}


@pytest.mark.parametrize("place", ["terminal", "pipe", "without rich"])
def test_the_report_shows_every_finding_as_it_is_written(
    place: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    if place == "terminal":
        monkeypatch.setenv("FORCE_COLOR", "1")
    if place == "without rich":
        monkeypatch.setitem(sys.modules, "rich.console", None)
    print_report({"packages": [OK, ILL]})
    text = capsys.readouterr().out
    for words in ("packages", "fine", "[red]no[/red]", "pip install 'b[all]'", "something needed is broken (1 broken)"):
        assert words in text
    assert ("\x1b[" in text) is (place == "terminal")
    if place != "terminal":
        assert "packages: broken: b: [red]no[/red] -> pip install 'b[all]'" in text.splitlines()


def test_the_cause_is_the_first_of_a_chain_and_one_line() -> None:
    inner, outer = KeyError("first\nsecond"), ValueError("outer")
    outer.__cause__ = inner
    assert cause_of(outer) == "KeyError: 'first\\nsecond'"
    assert cause_of(ValueError("a\nb")) == "ValueError: a"
    assert cause_of(ValueError()) == "ValueError"


def test_warnings_of_what_is_imported_do_not_stand_in_the_report() -> None:
    def warns() -> list[Finding]:
        warnings.warn("deprecated", DeprecationWarning, stacklevel=1)  # pytest here makes an error of one that gets out
        return [OK]

    assert examine(probes={"area": warns}) == {"area": [OK]}
