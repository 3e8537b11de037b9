"""What a docstring says about one parameter, in the styles that our components, mmengine's and torch's are written in."""

from __future__ import annotations

import inspect
import re
from collections.abc import Container, Iterable, Sequence

NAME = r"`{0,2}\*{0,2}[A-Za-z_]\w*`{0,2}"
ENTRY = re.compile(rf"^(\s*)(?:[-*]\s+)?({NAME}(?:\s*(?:,|/|\band\b)\s*{NAME})*)\s*(\(.*?\))?\s*:(?![:=])\s*(.*)$")
"""`depth: how many`, `width, head_width: …`, `lr (float, optional): …`, "- ``bias_lr_mult`` (float): …", `name : type`."""

SECTION = re.compile(r"^\s*[A-Z][A-Za-z ]*:\s*$")
"""`Args:`, above entries that are indented."""
WRAPPED = 100
"""A line of at least this many characters that ends in no full stop goes on in the next."""
MOST_SENTENCES = 3
Block = list[str]


def first_line(component: object) -> str:
    """The one-line summary, without its final stop; empty where there is no docstring of the component's own."""
    own = inspect.getdoc(component) if getattr(component, "__doc__", None) else None
    return " ".join((own or "").split("\n\n")[0].split()).removesuffix(".")


def describe(docstring: str | None, key: str, known: Iterable[str] = ()) -> str | None:
    """The text about `key` on one line, or None.

    known: the other parameters, whose entries may begin in the middle of a line. Looked for in this order: an entry on a
    line of its own, an entry inside a line, sentences that mention the key.
    """
    if not docstring:
        return None
    others = [name for name in known if name != key]
    blocks = _blocks(inspect.cleandoc(docstring).splitlines(), {*others, key})
    return _entry(blocks, key, others) or _inside_a_line(blocks, key, others) or _mentions(blocks, key)


def _entry(blocks: Sequence[Block], key: str, others: Sequence[str]) -> str | None:
    for block in blocks:
        found = ENTRY.match(block[0])
        if found is None or key not in re.findall(r"\w+", found[2]):
            continue
        text = _up_to_the_next(" ".join([found[4], *block[1:]]), others)
        if text:
            return text
    return None


def _inside_a_line(blocks: Sequence[Block], key: str, others: Sequence[str]) -> str | None:
    for block in blocks:
        text = " ".join(" ".join(block).split())
        found = re.search(rf"[.;,]\s`{{0,2}}{re.escape(key)}`{{0,2}}:\s(?=\S)", text)
        if found:
            return re.split(r"(?<=[.!?])\s+(?=[A-Z])", _up_to_the_next(text[found.end() :], others))[0]
    return None


def _mentions(blocks: Sequence[Block], key: str) -> str | None:
    """Sentences that name the key, before such entries of other keys. A key that is a plain word as well must stand in
    backquotes or beside `=`."""
    word = re.escape(key)
    pattern = rf"`{word}[`=]|\b{word}\s?=" if key.isalpha() and key.islower() else rf"(?<![\w.]){word}(?!\w)"
    blocks = [block for block in blocks if not any(">>>" in line for line in block)]
    for entries in (False, True):
        texts = [" ".join(" ".join(block).split()) for block in blocks if bool(ENTRY.match(block[0])) is entries]
        sentences = [sentence for text in texts for sentence in re.split(r"(?<=[.!?])\s+(?=[A-Z`])", text)]
        found = [sentence for sentence in sentences if re.search(pattern, sentence)]
        if found:
            return " ".join(found[:MOST_SENTENCES])
    return None


def _blocks(lines: Sequence[str], names: Container[str]) -> list[Block]:
    """Runs of lines that belong together: an entry with what goes on from it, or a paragraph."""
    blocks: list[Block] = []
    previous: str | None = None
    for line in lines:
        if not line.strip():
            previous = None
            continue
        if previous is not None and _goes_on(previous, line, blocks[-1][0], names):
            blocks[-1].append(line)
        else:
            blocks.append([line])
        previous = line
    return blocks


def _goes_on(previous: str, line: str, first: str, names: Container[str]) -> bool:
    """Whether `line` belongs to the block that `first` began."""
    depth, indent = (len(text) - len(text.lstrip()) for text in (line, first))
    entry = ENTRY.match(line)
    if ENTRY.match(first) is None:
        return entry is None
    if depth != indent:
        return depth > indent and not (SECTION.match(first) and entry)
    if entry is not None or previous.rstrip()[-1] in ".!?" or line.split()[0].strip("`,") in names:
        return False
    return not line.lstrip()[0].isupper() or len(previous) >= WRAPPED


def _up_to_the_next(text: str, others: Sequence[str]) -> str:
    """Cut where the entry of another parameter begins: "…, over resumes too. max_in_a_row: without a step…"."""
    if others:
        names = "|".join(map(re.escape, others))
        text = re.split(rf"(?<=[.;,])\s+`{{0,2}}(?:{names})`{{0,2}}:\s", text)[0]
    return " ".join(text.split()).rstrip(" ;,")
