"""What the scripts in tools/ share: one line for a user's mistake, a traceback for ours; options; where tables go."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from linearsr.core.allocator import keep_freed_memory
from linearsr.core.errors import LinearSRError, RankError, StoppedBySignal

if TYPE_CHECKING:
    from rich.console import Console

USER_ERROR = 2
RANK_LOST = 1
"""Not the user's to mend: the run can be started again as it is."""
INTERRUPTED = 130
"""As shells say of Ctrl-C. A training under way saves itself and leaves with TRY_AGAIN."""
TRY_AGAIN = 75
"""EX_TEMPFAIL of sysexits.h: not 0, so that `train && test` does not go on with half a model."""
WIDTH = 160
"""Columns of a table that goes to a file or a pipe; rich takes 80 and breaks words."""


def add_options(
    parser: argparse.ArgumentParser, flag: str = "--cfg-options", about: str = "override keys: a.b=1 c=[1,2]"
) -> None:
    """A flag that takes KEY=VALUE, several of them, and may come again."""
    parser.add_argument(flag, nargs="+", action="extend", default=[], metavar="KEY=VALUE", help=about)


def output_console(*, highlight: bool = True) -> Console:
    """On standard output: as wide as the terminal or COLUMNS say, else WIDTH."""
    from rich.console import Console  # here: --help needs none

    told = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(width=None if told else WIDTH, highlight=highlight)


def run_command(command: Callable[[], object]) -> None:
    """Runs it and exits: rc 0; rc 2 after `error: …` for a LinearSRError or a file that cannot be used; rc 75 for a run that
    was stopped by a signal and can go on; rc 1 for a rank that ends because another did. Of several ranks one prints.
    Freed memory stays with the process, see `keep_freed_memory`.

    Other exceptions are raised on.
    """
    keep_freed_memory()
    try:
        command()
        sys.stdout.flush()
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except StoppedBySignal as stop:
        if not stop.told:
            print(stop, file=sys.stderr)
        sys.exit(TRY_AGAIN)
    except (LinearSRError, RankError) as error:
        if not error.told:
            print(f"error: {_first_hand(error)}", file=sys.stderr)
        sys.exit(RANK_LOST if isinstance(error, RankError) else USER_ERROR)
    except BrokenPipeError:  # `… | head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        if error.filename is None:
            raise
        print(f"error: {error.filename}: {error.strerror}", file=sys.stderr)
        sys.exit(USER_ERROR)


def _first_hand(error: Exception) -> str:
    """The message without the traceback that a data worker wraps around it."""
    marker = f"{type(error).__name__}: "
    text = str(error)
    return text.rsplit(marker, 1)[-1].strip() if "Original Traceback" in text else text
