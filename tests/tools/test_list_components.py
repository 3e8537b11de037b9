"""tools/list_components.py from the command line: all kinds, one, none."""

import pytest

from linearsr.core.plugin_check import kind_of
from linearsr.core.registries import ALL
from tests.tools.conftest import Run
from tests.tools.test_scripts import refused


def test_a_kind_is_listed_alone(run: Run) -> None:
    done = run("list_components.py", "stem")
    assert done.returncode == 0, done.stderr
    titles = [line.rstrip() for line in done.stdout.splitlines() if "(config key" in line]
    assert titles == ["LR stem  (config key lr_stem; entry points linearsr.stems)"]
    assert "ConvStem" in done.stdout


def test_every_kind_has_a_name_of_its_own() -> None:
    assert len({kind_of(registry) for registry in ALL}) == len(ALL)


def test_an_unknown_kind_is_one_line_with_the_nearest(run: Run) -> None:
    done = run("list_components.py", "atention")
    refused(done, "no kind is called 'atention'; did you mean 'attention'?")
    assert not done.stdout


@pytest.mark.parametrize(("flag", "code"), [("--help", 0), ("--kindd", 2)])
def test_flags_list_nothing(run: Run, flag: str, code: int) -> None:
    done = run("list_components.py", flag)
    assert done.returncode == code
    assert "usage:" in done.stdout + done.stderr
    assert "ReLULinearAttention" not in done.stdout


@pytest.mark.parametrize("columns", [None, "70"])
def test_off_a_terminal_tables_are_as_wide_as_columns_says_or_160(
    run: Run, monkeypatch: pytest.MonkeyPatch, columns: str | None
) -> None:
    monkeypatch.delenv("COLUMNS")
    if columns:
        monkeypatch.setenv("COLUMNS", columns)
    done = run("list_components.py", "attention")
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) == int(columns or 160)
