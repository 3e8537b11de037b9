"""Does a knee detector keep its contract? `check_knee_detector(lambda: Mine({"psnr": 1})).require()` raises if not."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np

from linearsr.core.conformance import ConformanceReport
from linearsr.core.protocols import KneeDetector
from linearsr.core.randomness import numpy_generator

Evaluations = list[dict[str, float]]

Said = tuple[Any, ...]
"""The values of FIELDS."""

FIELDS = ("phase", "knee_step", "confirmed", "confidence", "onset_step", "superseded", "earliest_possible")
STEPS = (False, True, False, False, True, True, True)
"""Which of FIELDS are steps."""
NEAR = 6
"""Evaluations by which the knee of the curve below may be missed: a tenth of it."""
LENGTH, KNEE, ONSET = 60, 14, 36
"""Of the curve that the laws are tried on: 95 % of its rise at evaluation 14, irregular losses from 36 on."""
NOISE = 0.01
GRID = 2.0**-20
"""Figures are multiples of it, so that factors 2^k and whole offsets leave every comparison as it was."""


def check_knee_detector(make: Callable[[], KneeDetector], seed: int = 0) -> ConformanceReport:
    """make: gives a new detector each time; its `directions` name the metrics that it is fed with."""
    report = ConformanceReport(type(make()).__name__, seed=seed)
    signs = dict(make().directions)
    curves = _evaluations(signs, seed)
    steps = range(100, 100 * LENGTH + 1, 100)

    def follow(evaluations: Evaluations, at: Sequence[int] = steps) -> list[Said]:
        detector = make()
        return [_plain(detector.update(step, one)) for step, one in zip(at, evaluations, strict=False)]

    @cache
    def reference() -> list[Said]:
        return follow(curves)

    def found() -> str:
        state = dict(zip(FIELDS, reference()[-1], strict=True))
        knee = state["knee_step"]
        if not state["confirmed"] or abs(knee - steps[KNEE]) > NEAR * 100:
            raise AssertionError(f"the knee is at {steps[KNEE]}, the oscillation begins at {steps[ONSET]}; got {state}")
        return f"knee {knee} for {steps[KNEE]}, onset {state['onset_step']} for {steps[ONSET]}"

    def same(evaluations: Evaluations, at: Sequence[int] = steps) -> None:
        back = dict(zip(at, steps, strict=True))
        got = [
            tuple(back.get(value, value) if is_step else value for is_step, value in zip(STEPS, state, strict=True))
            for state in follow(evaluations, at)
        ]
        _equal(got, reference())

    def resumed() -> None:
        for cut in (3, KNEE, KNEE + 14):
            first, second = make(), make()
            for step, one in zip(steps[:cut], curves[:cut], strict=True):
                first.update(step, one)
            second.load_state_dict(json.loads(json.dumps(first.state_dict(), allow_nan=False)))
            rest = [_plain(second.update(step, one)) for step, one in zip(steps[cut:], curves[cut:], strict=True)]
            _equal(rest, reference()[cut:])

    def keeps_its_word() -> None:
        lifted = [{name: value + signs[name] for name, value in one.items()} for one in curves[KNEE:ONSET]]
        for states in (reference(), follow([*curves[:ONSET], *lifted])):
            named = [dict(zip(FIELDS, state, strict=True)) for state in states]
            for before, after in pairwise(named):
                _keeps_its_word(before, after)

    def nothing_to_say(evaluations: Evaluations) -> None:
        phase, knee, confirmed, *_ = follow(evaluations)[-1]
        if phase != "undetermined" or knee is not None or confirmed:
            raise AssertionError(f"phase {phase}, knee {knee}, confirmed {confirmed}; wanted undetermined without a knee")

    def fails() -> None:
        broken = [*curves[: KNEE + 8], dict.fromkeys(signs, math.nan)]
        phase, knee, *_ = follow(broken)[-1]
        if phase != "oscillation" or knee is None:
            raise AssertionError(f"after NaN the phase is {phase} and the knee {knee}")

    def refuses(*evaluations: tuple[int, dict[str, float]]) -> str:
        detector = make()
        try:
            for step, one in evaluations:
                detector.update(step, one)
        except ValueError as error:  # ConfigError is one
            return str(error)
        raise AssertionError("was accepted; wanted a ValueError")

    report.hold("finds the knee of a clear curve before its oscillation", found)
    report.hold("only the order of the steps counts", lambda: same(curves, [7 * i * i + 3 for i in range(LENGTH)]))
    report.hold("units do not count: each metric times 2^k, plus a constant", lambda: same(_rescaled(curves)))
    report.hold(
        "the order in which metrics are named does not count", lambda: same([dict(reversed(one.items())) for one in curves])
    )
    report.hold("saved as JSON and loaded anywhere, it goes on as if uninterrupted", resumed)
    report.hold("a confirmed knee stays, before any onset and not before the earliest possible", keeps_its_word)
    report.hold("two evaluations are undetermined", lambda: nothing_to_say(curves[:2]))
    report.hold("a constant is undetermined", lambda: nothing_to_say([curves[0]] * LENGTH))
    report.hold("NaN from the start is undetermined", lambda: nothing_to_say([dict.fromkeys(signs, math.nan)] * LENGTH))
    report.hold("NaN after a rise is an oscillation", fails)
    report.hold("a step that does not increase is refused", lambda: refuses((5, curves[0]), (5, curves[1])))
    report.hold("a metric that is lacking is refused", lambda: refuses((5, {})))
    return report


def _keeps_its_word(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Between two evaluations in turn."""
    knee, onset, earliest = after["knee_step"], after["onset_step"], before["earliest_possible"]
    if before["confirmed"] and (knee, after["confirmed"]) != (before["knee_step"], True):
        raise AssertionError(f"a confirmed knee moved from {before['knee_step']} to {knee}")
    if after["earliest_possible"] < earliest:
        raise AssertionError(f"earliest_possible went back from {earliest}: that checkpoint may be gone")
    if after["confirmed"] and knee < earliest:
        raise AssertionError(f"the knee {knee} lies before the earliest possible {earliest}")
    if None not in (knee, onset) and onset <= knee:
        raise AssertionError(f"the onset {onset} is not after the knee {knee}")


def _evaluations(signs: Mapping[str, int], seed: int) -> Evaluations:
    """Rise, plateau, losses; each metric with noise of its own, on GRID."""
    draw = numpy_generator(seed)
    i = np.arange(LENGTH)
    curve = 1 - np.exp(-3 * i / KNEE) - 0.4 * (i > ONSET) * np.abs(np.sin(1.3 * i))
    columns = {name: sign * _on_grid(curve + NOISE * draw.standard_normal(LENGTH)) for name, sign in signs.items()}
    return [{name: float(column[n]) for name, column in columns.items()} for n in range(LENGTH)]


def _on_grid(values: Any) -> Any:
    return np.round(values / GRID) * GRID


def _rescaled(evaluations: Evaluations) -> Evaluations:
    return [{name: value * 2.0 ** (3 * k - 4) + 10 * k for k, (name, value) in enumerate(one.items())} for one in evaluations]


def _plain(state: Any) -> Said:
    return tuple(getattr(state, field) for field in FIELDS)


def _equal(got: Sequence[Said], want: Sequence[Said]) -> None:
    for n, (one, other) in enumerate(zip(got, want, strict=True)):
        if one != other:
            raise AssertionError(
                f"at evaluation {n}: {dict(zip(FIELDS, one, strict=True))}, wanted {dict(zip(FIELDS, other, strict=True))}"
            )
