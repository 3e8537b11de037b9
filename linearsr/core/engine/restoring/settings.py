"""What a folder of restored pictures was made with: OUT/run.json. All of its pictures are made alike."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mmengine.config import Config

from linearsr.core.atomic import write_text
from linearsr.core.digests import sha256_of
from linearsr.core.errors import ConfigError
from linearsr.core.inspection.differences import Difference, differences
from linearsr.core.models.memory_planner import memory_limit
from linearsr.core.record import run_record
from linearsr.core.registries import AUTOENCODERS
from linearsr.core.weights import read_state_dict

RECORD: Final = "run.json"
RUNS_ALIKE: Final = ("compile_denoiser",)
"""Keys of the model that decide how it is computed, not what becomes of a picture, rounding apart."""
DENOISER_RUNS_ALIKE: Final = ("tile", "offload", "offload_folder", "cuda_graphs", "activation_checkpointing")
"""The same of a denoiser, whose tiles are always exact, and of the `expert` of a mixture."""
SHOWN: Final = 5
"""Differences that a message names."""


@dataclass(frozen=True)
class Made:
    """settings: what decides how a restored picture looks, plain JSON; another value makes another picture.
    record: who did it: command, config, checkpoint, versions."""

    settings: Mapping[str, Any]
    record: Mapping[str, Any]

    @staticmethod
    def of(cfg: Config, checkpoint: Path | None, pipeline: Sequence[Mapping[str, Any]], num_steps: int) -> Made:
        """checkpoint: a file, or None for the model as it is built, which then depends on the config's seed.

        Raises WeightsError where there is no such file, ConfigError for a `memory_gib` that is no limit.
        """
        model = cfg.model.to_dict()
        if (gib := model.get("memory_gib")) is not None:
            memory_limit(gib)
        settings: dict[str, Any] = {
            "model": _that_matters(model, _has_exact_tiles(model)),
            "pipeline": [dict(step) for step in pipeline],
            "num_steps": num_steps,
            "dtype": (cfg.get("test_cfg") or {}).get("dtype", "float32"),
        }
        if checkpoint is None:
            settings["randomness"] = dict(cfg.get("randomness") or {"seed": 0})
        else:
            settings["checkpoint_sha256"] = _hash_of_weights(checkpoint)
        record = run_record(cfg) | {"checkpoint": None if checkpoint is None else str(checkpoint)}
        return Made(json.loads(json.dumps(settings, default=str)), record)


def _hash_of_weights(checkpoint: Path) -> str:
    try:
        return sha256_of(checkpoint)
    except OSError:
        read_state_dict(checkpoint)  # whose error says what was wanted
        raise


def _has_exact_tiles(model: Mapping[str, Any]) -> bool:
    """An autoencoder whose tiles are blended says `exact_tiles = False`."""
    kind = (model.get("autoencoder") or {}).get("type")
    return kind is None or getattr(AUTOENCODERS.get(kind), "exact_tiles", True)


def _that_matters(model: Mapping[str, Any], exact: bool) -> dict[str, Any]:
    """The model without what only decides how it is computed. exact: whether its autoencoder's tiles are."""
    found = _without(model, (*RUNS_ALIKE, *(["memory_gib"] if exact else [])))
    for part, keys in (("denoiser", DENOISER_RUNS_ALIKE), ("autoencoder", ("tile",) if exact else ())):
        if isinstance(found.get(part), Mapping):
            found[part] = _without(found[part], keys)
    denoiser = found.get("denoiser")
    if isinstance(denoiser, Mapping) and isinstance(denoiser.get("expert"), Mapping):
        found["denoiser"] = {**denoiser, "expert": _without(denoiser["expert"], DENOISER_RUNS_ALIKE)}
    return found


def _without(part: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    return {key: value for key, value in part.items() if key not in keys}


def read_record(out: Path) -> dict[str, Any] | None:
    """{"settings": …, "starts": […]}, or None where nothing was restored into this folder.

    Raises ConfigError for another file.
    """
    path = out / RECORD
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text())
        if isinstance(found["settings"]["model"], dict) and found["starts"][-1] is not None:
            return dict(found)
    except (ValueError, TypeError, KeyError, IndexError):
        pass
    raise ConfigError(f"{path} is not the record of a folder of restored pictures; choose another --out")


def write_record(out: Path, made: Made, earlier: Mapping[str, Any] | None) -> None:
    """earlier: what `read_record` found of the same settings; its starts stay in the list."""
    starts = [*(earlier or {"starts": []})["starts"], made.record]
    write_text(out / RECORD, json.dumps({"settings": made.settings, "starts": starts}, indent=2) + "\n")


def other_settings(out: Path, earlier: Mapping[str, Any], made: Made) -> str:
    """What differs from the settings that the folder was made with, in one line; "" where nothing does."""
    exact, then = _has_exact_tiles(made.settings["model"]), {"dtype": "float32", **earlier["settings"]}
    found = list(differences({**then, "model": _that_matters(then["model"], exact)}, made.settings))
    if not found:
        return ""
    more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    before, now = (
        f"{record['config']} and {record['checkpoint'] or 'no weights'}" for record in (earlier["starts"][-1], made.record)
    )
    who = f"with {before}" if before == now else f"with {before}, now it is {now}"
    return f"{out} was made otherwise, {who}: {'; '.join(map(_said, found[:SHOWN]))}{more}"


def _said(difference: Difference) -> str:
    return f"{difference.key} was {_short(difference.before)} and is {_short(difference.after)}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:36] + "…" + text[-3:]
