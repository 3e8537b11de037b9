"""From a config to what its model will cost on a device, as plain data."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from linearsr.core.config import load_config
from linearsr.core.errors import ConfigError
from linearsr.core.planning.asking import Asked, TrainStep, num_steps_of, restored_in, train_step_of
from linearsr.core.planning.ledger import Account, Ledger, alike
from linearsr.core.planning.parameters import count_parameters, parameters_by_part
from linearsr.core.planning.parts_at_hand import ready_to_build
from linearsr.core.planning.rehearsal import DECODE, ENCODE, EVALUATION, STEP, Rehearsal
from linearsr.core.planning.roofline import Device, Work
from linearsr.core.planning.tiles import Choice, Need, Needs, Tiles
from linearsr.core.stages import STAGES, find_stage, stages_of
from linearsr.core.tensor_values import DTYPES

Plain = dict[str, Any]
WORD = 4
"""Bytes of a value of the LR picture."""


def plan_config(
    source: str | Path,
    device: Device,
    asked: Asked | None = None,
    options: Sequence[str] | Mapping[str, Any] = (),
    stage: str | None = None,
) -> Plain:
    """One entry in "stages" for each stage, or for `stage` alone; one without a name for a config that has none.

    Nothing is computed and no weights are drawn. Raises what loading the config and building its model raise.
    """
    asked, cfg = asked or Asked(), load_config(source, options)
    stages = _stages(cfg, stage)
    found: dict[str, Plain] = {}
    plans = []
    for name, own in stages:
        model, notes = ready_to_build(own.model.to_dict(), tokens=asked.tokens, guidance_width=asked.guidance_width)
        step = train_step_of(own.to_dict(), model["upscale"]) if asked.train else None
        alike_step = step and replace(step, iterations=0, optimizer={"type": step.optimizer["type"]})
        key = json.dumps([model, repr(alike_step), _steps(own, asked), _dtype(own, asked)], sort_keys=True, default=repr)
        if key not in found:
            found[key] = _plan(own, model, step, device, asked) | {"notes": notes}
        plans.append(_named(found[key], name, step))
    figures = asdict(device) | {"flops": dict(device.flops)}
    return {"config": str(source), "device": figures, "lr": list(asked.size), "stages": plans}


def _stages(cfg: Config, name: str | None) -> list[tuple[str, Config]]:
    if STAGES not in cfg:
        if name is not None:
            raise ConfigError(f"--stage is {name!r}, and the config has no stages; leave it out")
        return [("", cfg)]
    stages = stages_of(cfg)
    return [(one.name, one.cfg) for one in (stages if name is None else [find_stage(stages, name)])]


def _plan(cfg: Config, model: Mapping[str, Any], step: TrainStep | None, device: Device, asked: Asked) -> Plain:
    rehearsal = Rehearsal(model, in_strips=device.kind == "cpu")
    steps, dtype, denoiser = _steps(cfg, asked), _dtype(cfg, asked), rehearsal.model.denoiser
    weights = rehearsal.resident_bytes()
    ledger = rehearsal.restore(*asked.size, steps, dtype=DTYPES[dtype])
    lr_bytes = 3 * asked.size[0] * asked.size[1] * WORD
    room = device.memory - weights - lr_bytes
    return {
        "denoiser": model["denoiser"]["type"],
        "upscale": model["upscale"],
        "parameters": {"denoiser": count_parameters(denoiser), "by_part": parameters_by_part(denoiser)},
        "restore": {
            "num_steps": steps,
            "dtype": dtype,
            **_costs(ledger, device, _dtypes(rehearsal, dtype)),
            "memory": _memory(device, weights=weights, picture=lr_bytes, work=ledger.memory.peak),
            "tiles": None if ledger.memory.peak <= room else _tiles(rehearsal, asked, steps, dtype, room),
        },
        "layers": _layers(min(ledger.calls[EVALUATION], key=lambda call: (call.work.flops, call.work.bytes)), device, dtype),
        "train": None if step is None else _train(rehearsal, step, weights, device),
    }


def _tiles(rehearsal: Rehearsal, asked: Asked, steps: int, dtype: str, room: float) -> str:
    """In which `model.memory_gib` would restore it, in words."""
    known, choice = Needs(), Choice.of(rehearsal.model, asked.size)

    def rehearse(tiles: Tiles) -> Need:
        tiles.put_on(rehearsal.model)
        return Need.of(rehearsal.restore(*asked.size, steps, dtype=DTYPES[dtype]))

    def need(tiles: Tiles) -> Need:
        return known.of(asked.size, tiles, lambda: rehearse(tiles))

    before = Tiles.of(rehearsal.model)
    tiles = choice.largest(need, room)
    fits = need(tiles).total <= room
    before.put_on(rehearsal.model)
    return str(tiles) if fits else "it fits in no tiles, either"


def _train(rehearsal: Rehearsal, step: TrainStep, weights: int, device: Device) -> Plain:
    kept = 0 if step.accumulated == 1 else _keep_gradients(rehearsal)
    ledger = rehearsal.train(*step.size, step.batch, step.optimizer, DTYPES[step.dtype])
    ledger.calls[STEP] = [_share(account, step.accumulated) for account in ledger.calls[STEP]]
    average = rehearsal.trained_bytes() if step.averaged else 0
    pixels = step.batch * 3 * step.size[0] * step.size[1] * (1 + rehearsal.model.upscale**2)
    return {
        "lr": list(step.size),
        "batch": step.batch,
        "accumulated": step.accumulated,
        "dtype": step.dtype,
        **_costs(ledger, device, _dtypes(rehearsal, step.dtype)),
        "memory": _memory(device, weights=weights, average=average, picture=pixels * WORD, work=kept + ledger.memory.peak),
    }


def _keep_gradients(rehearsal: Rehearsal) -> int:
    """The batches before have left gradients, to which the next one's are added; how many bytes they are."""
    for parameter in rehearsal.model.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.empty_like(parameter)
    return rehearsal.trained_bytes()


def _named(plan: Plain, name: str, step: TrainStep | None) -> Plain:
    own = {"name": name, **plan}
    if step is not None:
        seconds = plan["train"]["total"]["seconds"] * step.iterations
        own["train"] = plan["train"] | {"iterations": step.iterations, "stage_seconds": seconds}
    return own


def _dtypes(rehearsal: Rehearsal, dtype: str) -> defaultdict[str, str]:
    """Of each phase: autocast does not reach an autoencoder that has its own."""
    own = str(getattr(rehearsal.model.autoencoder, "dtype", torch.float32)).removeprefix("torch.")
    return defaultdict(lambda: dtype, dict.fromkeys((ENCODE, DECODE), own))


def _costs(ledger: Ledger, device: Device, dtypes: Mapping[str, str]) -> Plain:
    phases = []
    for name, calls in ledger.calls.items():
        work = ledger.work(name)
        seconds = sum(_seconds(account, device, dtypes[name]) for account in calls)
        phases.append({"phase": name, "calls": len(calls), **asdict(work), "seconds": seconds})
    total = {key: sum(phase[key] for phase in phases) for key in ("flops", "bytes", "seconds")}
    return {"phases": phases, "total": total}


def _seconds(account: Account, device: Device, dtype: str) -> float:
    """Layer after layer, each at the roofline."""
    return sum(device.seconds(work, dtype) for work in account.by_layer.values())


def _share(account: Account, of: int) -> Account:
    """Of a call that many iterations make together."""
    return Account.of(Work(account.work.flops / of, account.work.bytes / of), account.growth)


def _layers(account: Account, device: Device, dtype: str) -> list[Plain]:
    """Of one evaluation, in which nothing is prepared; layers of the same name but for numbers are one row."""
    rows: dict[str, Plain] = {}
    for name, work in account.by_layer.items():
        short = alike(name).removeprefix("denoiser").removeprefix(".").removeprefix("experts.*.") or "itself"
        row = rows.setdefault(short, {"layer": short, "count": 0, "flops": 0.0, "bytes": 0.0, "seconds": 0.0})
        row |= {"count": row["count"] + 1, "flops": row["flops"] + work.flops, "bytes": row["bytes"] + work.bytes}
        row["seconds"] += device.seconds(work, dtype)
    for row in rows.values():
        whole = Work(row["flops"], row["bytes"])
        row |= {"intensity": whole.intensity, "bound": device.bound(whole, dtype)}
    return list(rows.values())


def _memory(device: Device, **parts: int) -> Plain:
    total = sum(parts.values())
    return {**parts, "total": total, "fits": total <= device.memory}


def _steps(cfg: Config, asked: Asked) -> int:
    return asked.num_steps or num_steps_of(cfg)


def _dtype(cfg: Config, asked: Asked) -> str:
    return asked.dtype or restored_in(cfg)
