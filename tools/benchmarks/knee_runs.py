"""The detector and its peers on the same curves, one record for each answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from knee_curves import EVALUATIONS, KnownCurves, mixed_curves
from knee_peers import PEERS

from linearsr.schedules import KneeDetector, KneeState

METRICS = 3
OURS = {
    "ours, three metrics": (METRICS, {}),
    "ours, one metric": (1, {}),
    "ours, three, onset alone": (METRICS, {"patience": EVALUATIONS}),
}
"""Name -> how many metrics it sees, and settings other than the defaults. With patience out of reach only an onset confirms."""
Record = dict[str, Any]


def run_all(first_seed: int, count: int) -> list[Record]:
    return [record for seed in range(first_seed, first_seed + count) for record in _answers(seed, mixed_curves(seed, METRICS))]


def follow(curves: KnownCurves, metrics: int, settings: dict[str, Any]) -> KneeState:
    """What the detector says after the last evaluation."""
    detector = KneeDetector({f"metric_{m}": 1 for m in range(metrics)}, **settings)
    for step, row in enumerate(curves.values):
        state = detector.update(step, {f"metric_{m}": float(row[m]) for m in range(metrics)})
    return state


def _answers(seed: int, curves: KnownCurves) -> Iterator[Record]:
    where = {"seed": seed, "kind": curves.kind, "noise": curves.noise}
    for name, (metrics, settings) in OURS.items():
        state = follow(curves, metrics, settings)
        onset = None if state.onset_step is None else state.onset_step - curves.onset
        ours = {"confirmed": state.confirmed, "superseded": state.superseded is not None, "confidence": state.confidence}
        yield where | {"method": name} | _judged(state.knee_step, curves) | ours | {"onset_error": onset}
    for name, peer in PEERS.items():
        yield where | {"method": name} | _judged(peer(curves.values[:, 0], curves.training_error), curves)


def _judged(knee: Any, curves: KnownCurves) -> Record:
    """error: evaluations after the true knee; inside: at the onset of the oscillation or after."""
    if knee is None:
        return {"error": None, "inside": False}
    return {"error": int(knee) - curves.knee, "inside": bool(knee >= curves.onset)}
