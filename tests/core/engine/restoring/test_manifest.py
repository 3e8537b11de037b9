"""The manifest is right after a kill at any byte of it."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from linearsr.core.engine.restoring.manifest import Entry, Journal, read_manifest, settle
from tests.strategies import unicode_texts


def entry(name: str, reason: str | None = None) -> Entry:
    return Entry(name, "failed" if reason else "done", f"/lr/{name}.png", "00", 4, reason=reason)


@given(names=unicode_texts, reasons=unicode_texts)
def test_what_is_noted_is_read_back(names: list[str], reasons: list[str]) -> None:
    with TemporaryDirectory() as folder:
        noted = {name: entry(name, reasons[index % len(reasons)]) for index, name in enumerate(names)}
        for one in noted.values():
            Journal(Path(folder), 0).add(one)
        assert read_manifest(Path(folder)) == noted


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from("abcd")), max_size=8), st.data())
def test_a_journal_cut_anywhere_loses_lines_and_changes_none(added: list[tuple[int, str]], data: st.DataObject) -> None:
    """Over three ranks; settling afterwards leaves one sorted file that says the same."""
    with TemporaryDirectory() as folder:
        out = Path(folder)
        for rank, letter in added:
            Journal(out, rank).add(entry(f"{letter}{rank}"))
        whole = read_manifest(out)
        for path in out.iterdir():
            path.write_bytes(path.read_bytes()[: data.draw(st.integers(0, path.stat().st_size))])
        kept = read_manifest(out)
        assert kept.items() <= whole.items()
        settle(out, kept)
        assert [path.name for path in out.iterdir()] == ["manifest.jsonl"]
        assert list(read_manifest(out).items()) == sorted(kept.items())


def test_the_later_line_counts(tmp_path: Path) -> None:
    Journal(tmp_path, 0).add(entry("a", "cut short"))
    Journal(tmp_path, 1).add(entry("a"))
    assert read_manifest(tmp_path) == {"a": entry("a")}
