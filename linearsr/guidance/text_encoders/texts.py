"""Texts as an encoder may be given them, and what is told of a text that is too long."""

from __future__ import annotations

import re
from collections.abc import Sequence

from linearsr.core.errors import DataError

HALF_PAIRS = re.compile("[\ud800-\udfff]")
"""Python's stand-ins for bytes of a file name that are no UTF-8; tokenizers refuse them."""


class TextCutWarning(UserWarning):
    """A text of more tokens than an encoder reads; what lies beyond does not count. Told once by each encoder."""


def require_texts(texts: Sequence[str]) -> list[str]:
    """At least one text, each valid Unicode: half a surrogate pair, as in a damaged file name, becomes "�".

    Raises DataError for a text that is not in a list, for what is no text, and for none at all.
    """
    if isinstance(texts, str):
        raise DataError(f"the texts are one text, {texts[:40]!r}; wanted a list of them: put it in brackets")
    found = list(texts)
    for text in found:
        if not isinstance(text, str):
            raise DataError(f"a text is {text!r}, a {type(text).__name__}; wanted a str")
    if not found:
        raise DataError('no text to encode; wanted at least one, which may be ""')
    return [HALF_PAIRS.sub("\N{REPLACEMENT CHARACTER}", text) for text in found]
