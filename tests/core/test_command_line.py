"""How scripts leave."""

import pytest

from linearsr.core.command_line import run_command
from linearsr.core.errors import ConfigError, RankError, StoppedBySignal


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (ConfigError("set a key"), 2, "error: set a key\n"),
        (StoppedBySignal("stopped at iteration 3"), 75, "stopped at iteration 3\n"),
        (RankError("another rank died"), 1, "error: another rank died\n"),
        (KeyboardInterrupt(), 130, "stopped\n"),
        (FileNotFoundError(2, "No such file", "a.png"), 2, "error: a.png: No such file\n"),
    ],
)
def test_each_end_has_its_code_and_one_line(error, code: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> None:
        raise error

    with pytest.raises(SystemExit) as leave:
        run_command(command)
    assert leave.value.code == code
    assert capsys.readouterr().err == said


def test_a_bug_of_ours_keeps_its_traceback() -> None:
    def command() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_command(command)
