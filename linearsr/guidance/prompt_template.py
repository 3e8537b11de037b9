"""From tags, captions and users' words to one text: what is filled in, what is left out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import Formatter

from linearsr.core.errors import ConfigError, DataError, ShapeError, nearest


@dataclass(frozen=True)
class PromptTemplate:
    """A text with places to be filled, such as "{tags}, {user}, {positive}".

    Its commas cut it into parts. A part whose places are all empty is left out; the others are joined by `separator`, so that
    nothing stands between two commas. A part without a place is always told. `{{` and `}}` are braces.

    places: the names that may stand in it; required: those that must. Raises ConfigError for any other name, and for a format
    or an attribute behind one.
    """

    text: str
    separator: str
    places: Sequence[str]
    required: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.separator, str):
            raise ConfigError(f"guidance.separator is {self.separator!r}; wanted a text; change guidance.separator")
        for part in self._parts():
            self._require_known(part)
        if absent := [name for name in self.required if name not in self.used]:
            raise ConfigError(
                f"guidance.template is {self.text!r}, without {{{absent[0]}}}; what belongs there would never be told; "
                "change guidance.template"
            )

    @property
    def used(self) -> frozenset[str]:
        """The places in it."""
        return frozenset(name for part in self._parts() for _, name, _, _ in Formatter().parse(part) if name)

    def fill(self, values: Mapping[str, str]) -> str:
        """values: a text for each place, "" for none; white space within becomes single spaces. "" if nothing is to be told."""
        plain = {name: " ".join(text.split()) for name, text in values.items()}
        told = []
        for part in self._parts():
            names = [name for _, name, _, _ in Formatter().parse(part) if name]
            if not names or any(plain[name] for name in names):
                told.append(part.format(**plain).strip())
        return self.separator.join(part for part in told if part)

    def _parts(self) -> list[str]:
        return self.text.split(",")

    def _require_known(self, part: str) -> None:
        known = ", ".join(f"{{{name}}}" for name in self.places)
        try:
            fields = [found for found in Formatter().parse(part) if found[1] is not None]
        except ValueError as cause:
            raise ConfigError(f"guidance.template is {self.text!r}: {cause}; its places are {known}") from cause
        for _, name, form, conversion in fields:
            if name not in self.places or form or conversion:
                hint = nearest(str(name), self.places)
                raise ConfigError(f"guidance.template is {self.text!r} with a place {{{name}}}{hint}; its places are {known}")


def one_text(value: str | Sequence[str], key: str, separator: str = ", ") -> str:
    """A text, or several that are joined: `--cfg-options` makes a list of what has commas. Raises ConfigError for others."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        raise ConfigError(f"{key} is {value!r}; wanted a text, or a list of texts; change {key}")
    return separator.join(texts)


def tag_names(text: str) -> list[str]:
    """Tags as people write them, cut at commas and line ends, each name once: "cat, sofa" -> ["cat", "sofa"]."""
    names = (" ".join(part.split()) for part in re.split(r"[,\n]", text))
    return list(dict.fromkeys(name for name in names if name))


def checked_prompts(prompts: Sequence[str], batch: int) -> list[str]:
    """One text for each picture. Raises DataError for what are no texts, ShapeError for another number of them."""
    if isinstance(prompts, str):
        raise DataError(f"the prompts are one text, {prompts[:40]!r}; wanted a list of them: one for each picture")
    found = list(prompts)
    for prompt in found:
        if not isinstance(prompt, str):
            raise DataError(f'a prompt is {prompt!r}, a {type(prompt).__name__}; wanted a text, which may be ""')
    if len(found) != batch:
        raise ShapeError(f"{len(found)} prompts for {batch} pictures; wanted one for each")
    return found
