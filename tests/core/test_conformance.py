"""A report says the same to people and to programs."""

import json
from io import StringIO

import torch
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

import linearsr
from linearsr.core.conformance import ConformanceReport, LawSkippedError

OUTCOMES = ("passed", "failed", "skipped")


def report_of(outcomes):
    report = ConformanceReport("Mine", seed=7, device="cpu")

    def test(outcome, number):
        if outcome == "failed":
            raise AssertionError(f"[{number}] ≠ 0")
        if outcome == "skipped":
            raise LawSkippedError(f"not [{number}]")
        return f"[{number}]"

    for number, outcome in enumerate(outcomes):
        report.hold(f"law {number} [b]", lambda outcome=outcome, number=number: test(outcome, number))
    return report


@given(st.lists(st.sampled_from(OUTCOMES), max_size=5))
def test_json_holds_every_finding_and_the_verdict(outcomes):
    report = report_of(outcomes)
    read = json.loads(report.to_json())
    assert [finding["status"] for finding in read["findings"]] == outcomes
    assert all(f"[{i}]" in finding["detail"] for i, finding in enumerate(read["findings"]))
    assert read["passed"] is (bool(outcomes) and "failed" not in outcomes)
    assert read["verdict"] == report.verdict
    assert read["environment"] | {"python": ""} == {
        "linearsr": linearsr.__version__,
        "torch": torch.__version__,
        "python": "",
        "seed": 7,
        "device": "cpu",
    }


@given(st.lists(st.sampled_from(OUTCOMES), min_size=1, max_size=5))
def test_the_table_names_every_law_and_below_it_the_broken_ones_with_their_numbers(outcomes):
    console = Console(width=200, record=True, file=StringIO())
    console.print(report_of(outcomes))
    table, below = console.export_text().split("└")
    for number, outcome in enumerate(outcomes):
        assert f"law {number} [b]" in table
        assert (f"law {number} [b]: AssertionError: [{number}] ≠ 0" in below) == (outcome == "failed")
    broken = outcomes.count("failed")
    assert (f"{broken} of {len(outcomes)} laws broken" if broken else "Mine: conforms") in below
