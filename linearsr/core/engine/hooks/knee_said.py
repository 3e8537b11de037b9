"""What a knee detector says, of whatever class its state is: the fields of its protocol, in plain types."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

FIELDS = ("phase", "knee_step", "confirmed", "confidence", "onset_step", "superseded", "earliest_possible")


@dataclass(frozen=True)
class KneeSaid:
    """As KneeState; more: what else the state has to say, by its `to_dict`, if it has one."""

    phase: str = "undetermined"
    knee_step: int | None = None
    confirmed: bool = False
    confidence: float = 0.0
    onset_step: int | None = None
    superseded: int | None = None
    earliest_possible: int | None = None
    more: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, state: Any) -> KneeSaid:
        said = {name: getattr(state, name) for name in FIELDS} | {"phase": str(state.phase)}  # of an enum, too
        whole = json.loads(json.dumps(state.to_dict())) if hasattr(state, "to_dict") else {}
        return cls(**said, more={name: value for name, value in whole.items() if name not in FIELDS})

    @classmethod
    def restored(cls, plain: Mapping[str, Any]) -> KneeSaid:
        """From what `to_dict` gave."""
        own = {name: plain[name] for name in FIELDS}
        return cls(**own, more={name: value for name, value in plain.items() if name not in FIELDS})

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, flat."""
        plain = asdict(self)
        return {**plain.pop("more"), **plain}
