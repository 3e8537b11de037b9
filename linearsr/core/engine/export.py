"""`tools/export.py`: a checkpoint to a folder that can be passed on: weights, config and a model card."""

from __future__ import annotations

import ast
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from linearsr import __version__
from linearsr.core.atomic import to_disk, write_text
from linearsr.core.config import RunConfig, config_hash, load_config
from linearsr.core.engine.checkpoints import newest_checkpoint
from linearsr.core.engine.model_card import Exported, model_card
from linearsr.core.errors import ConfigError, LinearSRError, WeightsError
from linearsr.core.registries import MODELS
from linearsr.core.weights import load_strict, read_pickled, write_safetensors

Which = Literal["ema", "raw"]
WEIGHTS, CONFIG, CARD = "model.safetensors", "config.py", "README.md"
OF_THE_RUN = ("work_dir", "load_from", "resume")
"""Settings that say where a run lay and where it came from; they mean nothing elsewhere."""
PREFIX = "module."
"""Of names in `ema_state_dict`: the averaged model is a wrapper around a copy."""


def run_export(source: str | Path, out: str | Path, weights: Which | None = None, force: bool = False) -> Path:
    """Writes model.safetensors, config.py and README.md (a model card) into the folder `out`, and returns it.

    source:  a checkpoint of a run, or a run's folder for its newest
    weights: "ema", the averaged ones; "raw", those that the optimiser moves; None: averaged if there are any
    force:   replace `out` if it is an earlier export; other folders are never replaced
    The weights are loaded into the config's model before anything is put in place, so that what is exported works; `out`
    is at every moment absent, as it was, or whole. Raises a LinearSRError for what a user can mend.
    """
    place = Path(out).absolute()
    _refuse_to_overwrite(place, force)
    checkpoint = newest_checkpoint(Path(source)) if Path(source).is_dir() else Path(source)
    content = _read(checkpoint)
    state, kind = choose_weights(content, weights, checkpoint)
    settings = config_in(content, checkpoint)
    with _in_place(place) as folder:
        kept = {key: value for key, value in settings.items() if key not in OF_THE_RUN}
        write_text(folder / CONFIG, RunConfig(kept).pretty_text)
        cfg = _checked_config(folder / CONFIG, checkpoint)
        # compiling is this machine's affair and is not needed to see whether the weights fit
        model = MODELS.build({key: value for key, value in cfg.model.items() if key != "compile_denoiser"})
        load_strict(model, state, checkpoint)
        exported = Exported(
            name=place.name,
            checkpoint=checkpoint,
            weights=kind,
            measured=weights != "raw" or "ema_state_dict" not in content,
            iterations=content["meta"].get("iter"),
            parameters=sum(parameter.numel() for parameter in model.parameters()),
            started_from=settings.get("load_from"),
        )
        metadata = {"linearsr": __version__, "config_sha256": config_hash(cfg), "weights": kind, "format": "pt"}
        write_safetensors(folder / WEIGHTS, state, metadata)
        write_text(folder / CARD, model_card(exported, cfg))
    return place


def choose_weights(content: Mapping[str, Any], weights: Which | None, source: Path) -> tuple[dict[str, Tensor], str]:
    """State dict and what it is.

    Where mmengine's EMAHook is on, it swaps as it saves: `state_dict` holds the averaged weights, which validation measured,
    and `ema_state_dict` the raw ones. Raises WeightsError if averaged ones are asked for and there are none.
    """
    averaged = content.get("ema_state_dict")
    if averaged is None:
        if weights == "ema":
            raise WeightsError(f"{source} holds no averaged weights: its run had no EMAHook; export it without --ema")
        return dict(content["state_dict"]), "raw (the run kept no average)"
    if weights == "raw":
        return {name.removeprefix(PREFIX): tensor for name, tensor in averaged.items() if name.startswith(PREFIX)}, "raw"
    return dict(content["state_dict"]), "averaged (EMA)"


def config_in(content: Mapping[str, Any], source: Path) -> dict[str, Any]:
    """The config that the checkpoint was trained with: its text, read as literals and never run. Raises WeightsError."""
    meta = content.get("meta")
    text = meta.get("cfg") if isinstance(meta, Mapping) else None
    try:
        body = ast.parse(text).body if isinstance(text, str) else []
        found = {s.targets[0].id: ast.literal_eval(s.value) for s in body}  # type: ignore[attr-defined]
    except (SyntaxError, ValueError, AttributeError) as cause:
        raise WeightsError(f"the config in {source} is no plain data, so it cannot be exported: {cause}") from cause
    if "model" not in found:
        raise WeightsError(f"{source} does not say which config it was made with; export a checkpoint iter_*.pth of a run")
    return found


def _read(checkpoint: Path) -> Mapping[str, Any]:
    if not checkpoint.is_file():
        raise WeightsError(f"there is no checkpoint {checkpoint}; wanted a file iter_*.pth or a run's folder")
    if checkpoint.suffix == ".safetensors":
        raise WeightsError(f"{checkpoint} holds weights without their config; export the checkpoint that they came from")
    content = read_pickled(checkpoint)
    if not isinstance(content, Mapping) or not isinstance(content.get("state_dict"), Mapping):
        raise WeightsError(f"{checkpoint} is no checkpoint of a run: it has no 'state_dict'")
    return content


def _checked_config(file: Path, checkpoint: Path) -> RunConfig:
    try:
        return load_config(file)
    except LinearSRError as error:
        reason = str(error).removeprefix(f"{file}: ")
        raise ConfigError(f"the config in {checkpoint} does not run with linearsr {__version__}: {reason}") from error


def _refuse_to_overwrite(place: Path, force: bool) -> None:
    if not place.exists():
        return
    others = sorted({path.name for path in place.iterdir()} - {WEIGHTS, CONFIG, CARD}) if place.is_dir() else [place.name]
    if others:
        raise ConfigError(f"{place} is no export: it holds {', '.join(others[:3])}; choose a folder that does not exist")
    if not force:
        raise ConfigError(f"{place} exists; add --force to replace this export, or choose another folder")


@contextmanager
def _in_place(place: Path) -> Iterator[Path]:
    """A folder to fill, which takes `place` at the end; on an error nothing is left of it and `place` is as it was."""
    place.parent.mkdir(parents=True, exist_ok=True)
    workshop = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
    try:
        folder = workshop / "new"
        folder.mkdir()
        yield folder
        if place.exists():
            os.replace(place, workshop / "old")
        os.replace(folder, place)
        to_disk(place.parent)
    except BaseException:
        if (workshop / "old").exists() and not place.exists():
            os.replace(workshop / "old", place)
        raise
    finally:
        shutil.rmtree(workshop, ignore_errors=True)
