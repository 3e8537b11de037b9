"""What the scripts in tools/ share: one line for a user's mistake, a traceback for ours."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from linearsr.core.allocator import keep_freed_memory
from linearsr.core.errors import LinearSRError, RankError, StoppedBySignal

USER_ERROR = 2
RANK_LOST = 1
"""Not the user's to mend: the run can be started again as it is."""
INTERRUPTED = 130
"""As shells say of Ctrl-C. A training under way saves itself and leaves with TRY_AGAIN."""
TRY_AGAIN = 75
"""EX_TEMPFAIL of sysexits.h: not 0, so that `train && test` does not go on with half a model."""


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
