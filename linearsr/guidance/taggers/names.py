"""From class names to words of a prompt, and when two of them are one thing."""

from __future__ import annotations

import re
from collections.abc import Iterable

from linearsr.core.errors import ConfigError

ES = re.compile(r"(?<=ss|sh|ch)es$|(?<=[xz])es$")
"""boxes, dishes, glasses."""
S = re.compile(r"(?<=[^\W\d_]{3})(?<![sui])s$")
"""sports, cars; not bus, iris, gas or glass."""


def prompt_name(text: str) -> str:
    """One name without what separates names in prompts and tag files: underscores, `|`, commas, line ends become spaces."""
    return " ".join(re.sub(r"[_|,]", " ", text).split())


def lemmas(class_name: str) -> tuple[str, ...]:
    """The words for one class, the one to be told first: "tabby, tabby cat" is tabby and tabby cat; () for an empty name.

    A comma or `|` separates words for the same thing, as in WordNet's synsets, whose first lemma is the most frequent.
    """
    names = (prompt_name(part) for part in re.split(r"[,|]", class_name))
    return tuple(dict.fromkeys(name for name in names if name))


def told_name(class_name: str) -> str:
    """The first of its lemmas. Raises ConfigError for a class without one."""
    words = lemmas(class_name)
    if not words:
        raise ConfigError(f"a class of the tagger is called {class_name!r}; wanted a name with letters in it")
    return words[0]


def without_synonyms(classes: Iterable[str]) -> list[int]:
    """Positions, ascending, of the classes that say something new; each is compared with those kept before it.

    Our rule: hyphens are spaces, capitals small and an English plural its singular ("sports car", "sport car"). Then a class
    is dropped if one of its lemmas is one of those kept ("panda" of the giant and the lesser one), or all last words of one
    ("cat" after "tabby, tabby cat"), or ends in one kept ("barber chair" after "chair"): the head of an English noun
    comes last. So "horse cart" is no horse, while "sea lion" and "lion" are taken for one.
    """
    kept: list[int] = []
    whole: set[tuple[str, ...]] = set()
    endings: set[tuple[str, ...]] = set()
    for position, class_name in enumerate(classes):
        keys = [_key(lemma) for lemma in lemmas(class_name)]
        if any(key in endings or not whole.isdisjoint(_endings(key)) for key in keys):
            continue
        kept.append(position)
        whole.update(keys)
        endings.update(ending for key in keys for ending in _endings(key))
    return kept


def _key(lemma: str) -> tuple[str, ...]:
    return tuple(S.sub("", ES.sub("", word)) for word in lemma.casefold().replace("-", " ").split())


def _endings(key: tuple[str, ...]) -> list[tuple[str, ...]]:
    return [key[start:] for start in range(len(key))]
