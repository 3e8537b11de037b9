"""One class per kind of user mistake. Each message says what came, what is wanted and which key or option to change.

`tools/*` print these as one line and leave with rc 2; anything else is a bug of ours and keeps its traceback.
"""

import difflib
from collections.abc import Iterable


class LinearSRError(Exception):
    """Base of every error that a user can mend."""

    told = False
    """Whether another rank of this run has printed the cause already."""


class UnknownComponentError(LinearSRError, KeyError):
    """A `type` that neither linearsr nor an installed plugin provides."""

    def __str__(self) -> str:  # KeyError would show the repr of the message
        return str(self.args[0])


class PluginLoadError(LinearSRError, ImportError):
    """An entry point whose module does not import or whose claim to a name is refused."""


class ConfigError(LinearSRError, ValueError):
    """A key or a value in a config file or in --cfg-options."""


class ShapeError(LinearSRError, ValueError):
    """A tensor or picture whose size does not fit."""


class WeightsError(LinearSRError, RuntimeError):
    """A weights file that is missing, unreadable or of another architecture."""


class CheckpointError(LinearSRError, OSError):
    """A checkpoint that could not be written."""


class DataError(LinearSRError, ValueError):
    """A folder or picture that cannot be used as data."""


class UnreadableError(DataError):
    """A picture whose file is missing, damaged or cut short. In training another one takes its place."""


class DivergenceError(LinearSRError, FloatingPointError):
    """A loss that is no longer finite."""


class StoppedBySignal(Exception):  # noqa: N818  (no error: the run did what it was told)
    """A run that saved itself and left because it was told to. Scripts leave with rc 75, "try again later"."""

    told = False


class RankError(RuntimeError):
    """A run of several processes that ends because another of them did. Scripts leave with rc 1."""

    told = False


class MissingExtraError(LinearSRError, ImportError):
    """An optional package that the chosen component needs."""

    def __init__(self, who: str, package: str, extra: str):
        super().__init__(f"{who} needs the package {package!r}: pip install 'linearsr[{extra}]'")


def nearest(name: str, known: Iterable[str]) -> str:
    """`"; did you mean 'x'?"` for the closest known name, or an empty string."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""
