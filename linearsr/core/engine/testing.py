"""`tools/test.py`: a checkpoint to restored pictures, metrics.json and a sheet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import is_main_process

from linearsr.core.config import load_config
from linearsr.core.engine.checkpoints import check_same_method, newest_checkpoint
from linearsr.core.engine.curriculum import tested_stage
from linearsr.core.engine.distributed import process_group, together
from linearsr.core.engine.hooks import PictureWriterHook
from linearsr.core.engine.runner import Parts, build_parts, build_runner
from linearsr.core.engine.training import run_folder
from linearsr.core.errors import ConfigError
from linearsr.core.evaluation import PictureMetrics, contact_sheet, write_metrics_json
from linearsr.core.record import run_record
from linearsr.core.stages import STAGES, stages_of
from linearsr.core.weights import load_strict, read_state_dict


def run_testing(
    config: str | Path,
    checkpoint: str | Path | None,
    out: str | Path | None = None,
    options: Sequence[str] | Mapping[str, Any] = (),
    launcher: str = "none",
) -> Path:
    """Restores the test pictures and returns the folder with metrics.json, sheet.png and restored/.

    checkpoint: weights that fit the config's model, a run's folder for its newest, or None for the model as it is built; of a
    config with stages also "<stage>@knee" (@last, @best:<metric>), and for its folder the last stage's newest.
    out: by default the run's folder, work_dirs/<config name>. launcher: "none", "pytorch" or "slurm", as in `run_training`.
    Raises a LinearSRError for what a user can mend; then no metrics.json is written.
    """
    cfg = load_config(config, options)
    folder = Path(out) if out is not None else run_folder(cfg, config, None)
    cfg, weights = chosen(cfg, config, checkpoint)
    if cfg.get("test_dataloader") is None:
        raise ConfigError(f"{config} has no test_dataloader; there is nothing to test on")
    with process_group(launcher, cfg):
        _test(cfg, folder, weights)
    return folder


def chosen(cfg: Config, config: str | Path, checkpoint: str | Path | None) -> tuple[Config, Path | None]:
    """The config, or that of its stage, and the file that `checkpoint` means, or None."""
    if STAGES in cfg:
        stage, checkpoint = tested_stage(cfg, stages_of(cfg), checkpoint, run_folder(cfg, config, None))
        cfg = stage.cfg
    if checkpoint is not None and Path(checkpoint).is_dir():
        checkpoint = newest_checkpoint(Path(checkpoint))
    return cfg, None if checkpoint is None else Path(checkpoint)


def build_tested(cfg: Config, checkpoint: Path | None, *phases: str) -> Parts:
    """As `build_parts`, with the checkpoint's weights. Raises WeightsError if they do not fit."""
    parts = build_parts(cfg, *phases)
    if checkpoint is not None:
        load_strict(parts.model, read_state_dict(checkpoint), str(checkpoint))
        check_same_method(checkpoint, cfg.model.to_dict())
    return parts


def _test(cfg: Config, folder: Path, checkpoint: Path | None) -> None:
    with together():
        parts = build_tested(cfg, checkpoint, "test")
    record = run_record(cfg) | {"checkpoint": None if checkpoint is None else str(checkpoint)}
    runner = build_runner(cfg, folder, parts)
    writer = PictureWriterHook(folder)
    runner.register_hook(writer)
    if is_main_process():  # those of an earlier test must not stand beside the pictures of this one, should it fail
        for name in ("metrics.json", "sheet.png"):
            (folder / name).unlink(missing_ok=True)
    figures, shown = runner.test(), writer.sheet_rows()
    if is_main_process():
        rows = [row for metric in runner.test_evaluator.metrics if isinstance(metric, PictureMetrics) for row in metric.rows]
        contact_sheet(shown, folder / "sheet.png")
        write_metrics_json(folder / "metrics.json", rows, record, figures)
