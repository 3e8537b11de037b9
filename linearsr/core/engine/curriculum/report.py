"""`report.html`: what each stage started from, where its knee was, and every curve, in one file that needs nothing else."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from pathlib import Path

from linearsr.core.atomic import write_text
from linearsr.core.engine.curriculum.plot import draw_stages
from linearsr.core.engine.curriculum.records import StageRecord, read_record
from linearsr.core.engine.logging import read_log

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 70em; padding: 0 1em; color: #222 }}
table {{ border-collapse: collapse }} th, td {{ padding: .3em .8em; border-bottom: 1px solid #ddd; text-align: left }}
img {{ width: 100% }} code {{ background: #f3f3f3 }}
</style></head><body>
<h1>{title}</h1>
<p>{graph}</p>
<table><tr>{heads}</tr>
{rows}
</table>
<img alt="metrics and loss of all stages over iterations" src="data:image/png;base64,{picture}">
{made}
</body></html>
"""
HEADS = ("stage", "started from", "iterations", "ended", "knee", "confirmed", "confidence", "last validation")
REPORT = "report.html"


def write_report(root: Path, names: Sequence[str]) -> None:
    """root: of the curriculum; names: of its stages, in order. Those that are not finished are left out."""
    records = [record for name in names if (record := read_record(root / name)) is not None]
    logs = {record.name: read_log(root / record.name / "log.jsonl") for record in records if _logged(root, record)}
    figure = draw_stages(records, logs)
    page = PAGE.format(
        title=html.escape(root.name),
        graph=html.escape(_graph(records)),
        heads="".join(f"<th>{head}</th>" for head in HEADS),
        rows="\n".join(_row(record) for record in records),
        picture=base64.b64encode(figure).decode(),
        made="\n".join(_made(record) for record in records),
    )
    write_text(root / REPORT, page)


def _logged(root: Path, record: StageRecord) -> bool:
    return (root / record.name / "log.jsonl").is_file()


def _graph(records: Sequence[StageRecord]) -> str:
    return "; ".join(f"{record.start.told or 'scratch'} → {record.name}" for record in records)


def _row(record: StageRecord) -> str:
    knee = record.knee or {}
    state, evaluations = knee.get("state") or {}, knee.get("evaluations") or []
    final = evaluations[-1] if evaluations else {}
    last = ", ".join(f"{name} {value:.5g}" for name, value in final.items() if value is not None and name != "step")
    cells = (
        record.name,
        record.start.told or "scratch",
        str(record.iterations),
        record.ended,
        "–" if state.get("knee_step") is None else str(state["knee_step"]),
        "yes" if state.get("confirmed") else "no",
        f"{state['confidence']:.0%}" if state else "–",
        last or "–",
    )
    return "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>"


def _made(record: StageRecord) -> str:
    made = record.record
    versions = ", ".join(f"{name} {version}" for name, version in made["versions"].items() if version)
    words = f"{made['command']} · {made['time_utc']} · commit {made['git_commit']} · seed {made['seed']} · {versions}"
    return f"<p>{html.escape(record.name)}: <code>{html.escape(words)}</code></p>"
