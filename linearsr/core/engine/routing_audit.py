"""`tools/routing_audit.py`: is each noise level with the expert that does it best, and do neighbours agree where they meet?"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from mmengine.device import get_device
from torch import Tensor

from linearsr.core.atomic import write_text
from linearsr.core.config import load_config
from linearsr.core.data import collate_pictures
from linearsr.core.data.file_checks import check_files
from linearsr.core.engine.checkpoints import newest_checkpoint
from linearsr.core.engine.curriculum import tested_stage
from linearsr.core.engine.training import run_folder
from linearsr.core.errors import ConfigError, DataError
from linearsr.core.models import load_model
from linearsr.core.models.padding import pad_to_multiple
from linearsr.core.randomness import generator, mix_seed, seed_of_picture, standard_normal
from linearsr.core.record import run_record
from linearsr.core.registries import DATASETS
from linearsr.core.stages import STAGES, stages_of

LOG_SNR_RANGE = (-8.0, 10.0)
"""What the bins cover: a little beyond the range that the published boundaries bisect, −7.0..8.9."""

TINY = 1e-12
"""Below it a velocity counts as none, and a jump is measured against this instead."""

AUDIT = "routing_audit.json"


@dataclass(frozen=True)
class Level:
    """One noise level. log_snr: None at t = 1, where it is −∞. routed: the expert that serves it; losses: mean squared error
    of the velocity by each expert, over the pictures."""

    t: float
    log_snr: float | None
    routed: int
    losses: list[float]

    @property
    def best(self) -> int:
        return min(range(len(self.losses)), key=self.losses.__getitem__)


@dataclass(frozen=True)
class Meeting:
    """Where expert `lower` ends and `lower + 1` begins. jump: root mean square of the difference of their velocities, over that
    of the upper one's, mean over the pictures; losses: of the two there."""

    t: float
    log_snr: float
    lower: int
    jump: float
    losses: list[float]


@dataclass(frozen=True)
class Audit:
    pictures: int
    levels: list[Level]
    meetings: list[Meeting]

    @property
    def well_routed(self) -> float:
        """Share of the noise levels where no expert is better than the one that serves."""
        return sum(level.losses[level.routed] == min(level.losses) for level in self.levels) / len(self.levels)


def run_routing_audit(
    config: str | Path,
    checkpoint: str | Path,
    *,
    bins: int = 16,
    pictures: int | None = None,
    options: Sequence[str] | Mapping[str, Any] = (),
) -> tuple[Audit, dict[str, Any]]:
    """The audit on the validation data, and how it was made (`run_record`). Writes nothing.

    checkpoint: weights, or a run's folder for its newest; of a config with stages as in `run_testing`
    bins: noise levels, equal in log-SNR, besides t = 1; pictures: at most so many of the validation data's, None: all
    Raises a LinearSRError for what a user can mend, such as a denoiser without experts.
    """
    cfg = load_config(config, options)
    asked: str | Path | None = checkpoint
    if STAGES in cfg:
        stage, asked = tested_stage(cfg, stages_of(cfg), checkpoint, run_folder(cfg, config, None))
        cfg = stage.cfg
    if cfg.get("val_dataloader") is None:
        raise ConfigError(f"{config} has no val_dataloader; there are no pictures to audit on")
    for name, number in (("--bins", bins), ("--pictures", 1 if pictures is None else pictures)):
        if number < 1:
            raise ConfigError(f"{name} is {number}; wanted ≥ 1")
    path = Path(asked or checkpoint)
    path = newest_checkpoint(path) if path.is_dir() else path
    model = load_model(cfg, path).to(get_device())
    dataset = DATASETS.build(cfg.val_dataloader["dataset"])
    check_files(dataset, training=False)
    count = len(dataset) if pictures is None else min(pictures, len(dataset))
    batches = (collate_pictures([dataset[index]]) for index in range(count))
    return audit(model, batches, bins), run_record(cfg) | {"checkpoint": str(checkpoint)}


@torch.no_grad()
def audit(model: Any, batches: Iterator[Mapping[str, Any]], bins: int) -> Audit:
    """batches: as `collate_pictures` makes them. Every expert is asked at every level, whichever is routed to it.

    A picture's noise comes from its content and the level, so that another number of pictures changes no picture's part.
    """
    denoiser = model.denoiser
    if not hasattr(denoiser, "experts") or not denoiser.router.depends_on_time_only:
        raise ConfigError("the audit asks experts by time; model.denoiser has none, or its router looks at more than t")
    edges = torch.linspace(*LOG_SNR_RANGE, bins + 1, dtype=torch.float64)
    times = torch.cat([torch.ones(1, dtype=torch.float64), model.path.t_from_log_snr((edges[:-1] + edges[1:]) / 2)])
    meeting_times = torch.tensor(denoiser.router.boundaries, dtype=torch.float64)
    routed: list[int] = denoiser.router.route(times).tolist()
    experts = range(len(denoiser.experts))
    device = next(denoiser.parameters()).device
    losses, pairs, jumps = [], [], []
    for batch in batches:
        if batch["hr"] is None:
            raise DataError(f"{batch['names'][0]} has no HR picture; the audit needs a val_dataloader with ground truth")
        picture = _Picture(model, batch["lr"].to(device), batch["hr"].to(device))
        losses.append([[picture.ask(t, k)[1] for k in experts] for t in times])
        met = [(picture.ask(t, k), picture.ask(t, k + 1)) for k, t in enumerate(meeting_times)]
        pairs.append([[below[1], above[1]] for below, above in met])
        jumps.append([float((above[0] - below[0]).norm() / above[0].norm().clamp_min(TINY)) for below, above in met])
    mean = torch.tensor(losses, dtype=torch.float64).mean(0).tolist()
    levels = [
        Level(float(t), _finite(float(model.path.log_snr(t))), expert, row)
        for t, expert, row in zip(times, routed, mean, strict=True)
    ]
    there = torch.tensor(pairs, dtype=torch.float64).mean(0).tolist()
    jump = torch.tensor(jumps, dtype=torch.float64).mean(0).tolist()
    meetings = [Meeting(float(t), float(model.path.log_snr(t)), k, jump[k], there[k]) for k, t in enumerate(meeting_times)]
    return Audit(len(losses), levels, meetings)


class _Picture:
    """One validation picture at any noise level."""

    def __init__(self, model: Any, lr: Tensor, hr: Tensor):
        self.model, self.seed = model, seed_of_picture(lr)
        multiple = model.lr_multiple
        self.guidance = model._look(lr, lr)
        self.lr = 2 * pad_to_multiple(lr, multiple) - 1
        self.z0 = model.autoencoder.encode(2 * pad_to_multiple(hr, multiple * model.upscale) - 1, self.lr)

    def ask(self, t: Tensor, expert: int) -> tuple[Tensor, float]:
        """t: scalar -> the expert's velocity there, and its mean squared error."""
        level = round(float(t) * 2**40)
        z1 = standard_normal(self.z0.shape[1:], [generator(mix_seed(self.seed, level))]).to(self.z0)
        at = t[None].to(self.z0.device)
        z_t = self.model.path.interpolate(self.z0, z1, at)
        with _only(self.model.denoiser, expert):
            v = self.model.velocity(z_t, at, self.lr, self.guidance)
        return v, float((v - self.model.path.target(self.z0, z1)).square().mean())


class _Always:
    """A router that knows one expert."""

    depends_on_time_only = True

    def __init__(self, expert: int):
        self.expert = expert

    def route(self, t: Tensor, features: Tensor | None = None) -> Tensor:
        return torch.full(t.shape, self.expert, dtype=torch.int64, device=t.device)


@contextmanager
def _only(denoiser: Any, expert: int) -> Iterator[None]:
    own = denoiser.__dict__.get("router")  # absent where the router is a module: an attribute stands before modules
    denoiser.__dict__["router"] = _Always(expert)
    try:
        yield
    finally:
        del denoiser.__dict__["router"]
        if own is not None:
            denoiser.__dict__["router"] = own


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def write_audit(folder: str | Path, found: Audit, record: Mapping[str, Any]) -> Path:
    """`routing_audit.json` in `folder`: what was found and how."""
    path = Path(folder) / AUDIT
    path.parent.mkdir(parents=True, exist_ok=True)
    content = asdict(found) | {"well_routed": found.well_routed, "record": dict(record)}
    write_text(path, json.dumps(content, indent=1) + "\n")
    return path
