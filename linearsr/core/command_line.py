"""What the scripts in tools/ share: one line for a user's mistake, a traceback for ours."""

from __future__ import annotations

import sys
from collections.abc import Callable

from linearsr.core.errors import LinearSRError

USER_ERROR = 2


def run_command(command: Callable[[], object]) -> None:
    """Runs it and exits: rc 0, or rc 2 after `error: …` for a LinearSRError or a file that cannot be used.

    Other exceptions are raised on.
    """
    try:
        command()
    except LinearSRError as error:
        print(f"error: {_first_hand(error)}", file=sys.stderr)
        sys.exit(USER_ERROR)
    except OSError as error:
        if error.filename is None:
            raise
        print(f"error: {error.filename}: {error.strerror}", file=sys.stderr)
        sys.exit(USER_ERROR)


def _first_hand(error: LinearSRError) -> str:
    """The message without the traceback that a data worker wraps around it."""
    marker = f"{type(error).__name__}: "
    text = str(error)
    return text.rsplit(marker, 1)[-1].strip() if "Original Traceback" in text else text
