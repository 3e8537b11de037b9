"""Evaluations out of the log of any run: JSON lines, or CSV with a header."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from linearsr.core.errors import DataError, nearest
from linearsr.schedules.knee_point.checks import Step, is_number

Record = dict[str, Any]


@dataclass(frozen=True)
class Evaluation:
    """metrics: NaN or infinite where the log says so, or null, as logs write what is not finite."""

    step: Step
    metrics: dict[str, float]


def read_evaluations(path: str | Path, metrics: Sequence[str], step_key: str = "step") -> list[Evaluation]:
    """The lines that have the metrics, in order; lines with none of them, and those of phase "train", are of other things.

    Raises DataError, with file and line, for an empty file, a line that cannot be read, one with some of the metrics only,
    a cell that is no number, and a step that is lacking or does not increase.
    """
    records = list(_records(Path(path)))
    if not records:
        raise DataError(f"{path} is empty; wanted a log of JSON lines, or CSV with a header, with {_listed(metrics, step_key)}")
    seen = dict.fromkeys(name for _, record in records for name in record)
    if unknown := [name for name in metrics if name not in seen]:
        hint = nearest(unknown[0], seen)
        raise DataError(f"{path}, line 1 to {records[-1][0]}: no metric {unknown[0]!r}{hint}; the log has {', '.join(seen)}")
    evaluations: list[Evaluation] = []
    for line, record in records:
        given = {name: record[name] for name in metrics if record.get(name, "") != ""}
        if given and record.get("phase") != "train":
            where = f"{path}, line {line}"
            evaluations.append(_evaluation(record, given, metrics, step_key, where))
            if len(evaluations) > 1 and evaluations[-1].step <= (before := evaluations[-2].step):
                raise DataError(f"{where}: {step_key} {evaluations[-1].step} comes after {before}; wanted increasing steps")
    if not evaluations:
        raise DataError(f"{path}: no line of an evaluation; wanted some with {_listed(metrics, step_key)}")
    return evaluations


def _evaluation(record: Record, given: Record, metrics: Sequence[str], step_key: str, where: str) -> Evaluation:
    if lacking := [name for name in metrics if name not in given]:
        raise DataError(
            f"{where}: {', '.join(given)} without {', '.join(lacking)}; wanted all of {', '.join(metrics)} in one line"
        )
    if record.get(step_key, "") == "":
        raise DataError(f"{where}: no {step_key!r}; the line has {', '.join(record)}; name the key of its step with --step-key")
    values = {name: math.nan if value is None else _number(value, name, where) for name, value in given.items()}
    step = _number(record[step_key], step_key, where)
    if not is_number(step):
        raise DataError(f"{where}: {step_key} is {record[step_key]!r}; wanted a finite number")
    return Evaluation(int(step) if step == int(step) else step, values)


def _number(value: Any, name: str, where: str) -> float:
    """Also of the text of a CSV's cell."""
    try:
        if isinstance(value, bool):
            raise ValueError
        return float(value)
    except (TypeError, ValueError):
        raise DataError(f"{where}: {name} is {value!r}; wanted a number") from None


def _records(path: Path) -> Iterator[tuple[int, Record]]:
    """(number of the line, what it holds). JSON lines are known by the brace that they begin with."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: no text in UTF-8 ({error.reason} at byte {error.start}); wanted JSON lines or CSV") from None
    parse = _json_lines if text.lstrip().startswith("{") else _csv_rows
    return parse(path, text)


def _json_lines(path: Path, text: str) -> Iterator[tuple[int, Record]]:
    """A last line that a killed run left half-written is passed over."""
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            if number == len(lines):
                return
            raise DataError(f"{path}, line {number}: {error}; wanted one JSON object a line") from None
        if not isinstance(record, dict):
            raise DataError(f"{path}, line {number}: a {type(record).__name__}; wanted one JSON object a line")
        yield number, record


def _csv_rows(path: Path, text: str) -> Iterator[tuple[int, Record]]:
    rows = csv.reader(text.splitlines())
    header = [name.strip() for name in next(rows, [])]
    for cells in rows:
        if len(cells) not in (0, len(header)):
            raise DataError(f"{path}, line {rows.line_num}: {len(cells)} cells; wanted {len(header)}, as the header has")
        if cells:
            yield rows.line_num, dict(zip(header, (cell.strip() for cell in cells), strict=True))


def _listed(metrics: Iterable[str], step_key: str) -> str:
    return ", ".join([step_key, *metrics])
