"""`tools/config.py explain`: all that is known of one key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from linearsr.core.inspection.differences import ABSENT
from linearsr.core.inspection.origins import set_by
from linearsr.core.inspection.places import place_of
from linearsr.core.inspection.rows import UNDESCRIBED
from linearsr.core.inspection.sources import resolve

ORDER = (
    "is", "of", "set to", "type", "default", "about", "holds", "assumed", "may hold", "keys", "options", "plugins", "source",
)  # fmt: skip
LONGEST = 160
"""Characters of a value that are shown; `show` has the rest."""


@dataclass(frozen=True)
class Explanation:
    """rows: label -> text, of ORDER; "about" is what the docstrings say."""

    key: str
    rows: Mapping[str, str]

    @property
    def described(self) -> bool:
        """Whether a docstring, or we, say what it is for."""
        return self.rows.get("about", UNDESCRIBED) != UNDESCRIBED


def explain(key: str, source: str | Path | None = None, options: Sequence[str] | Mapping[str, Any] = ()) -> Explanation:
    """key: `train_dataloader.batch_size`, `model.denoiser.depth`, `LinearDiT.depth`, `LinearDiT` or `denoiser`.

    source: a config file, a run's folder or a checkpoint, which says which components are meant and what the key is set to;
    options: `["a.b=1"]` on top of a config file. Raises ConfigError, with the nearest known key, for one that nothing takes.
    """
    cfg = {} if source is None else resolve(source, options).to_dict()
    place = place_of(key, cfg)
    rows = place.told()
    if source is not None and place.path[0] in cfg:
        value = place.tree.at(place.path)
        rows["set to"] = (
            "nothing: the config leaves it out"
            if value is ABSENT
            else f"{_short(value)}  in {set_by(place.path, source, options)}"
        )
    return Explanation(key, {label: rows[label] for label in ORDER if rows.get(label)})


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
