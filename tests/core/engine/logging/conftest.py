"""Tiny runs that log at every iteration, and what reads their logs back."""

import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from mmengine.hooks import Hook

from linearsr.core.engine import run_training

Train = Callable[..., Path]


class BreakOff(Hook):
    """Ends a run after iteration `at`, as a kill would: nothing more is saved or closed."""

    priority = "LOWEST"

    def __init__(self, at: int):
        self.at = at

    def after_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        if runner.iter + 1 == self.at:
            raise RuntimeError("broken off")


@pytest.fixture
def train(config: Path, monkeypatch: pytest.MonkeyPatch) -> Train:
    """train(folder, *backends, resume=…, stop=iteration or None, **other options)"""
    monkeypatch.delenv("WANDB_RUN_ID", raising=False)

    def run(
        folder: Path,
        *backends: str,
        resume: str | None = None,
        stop: int | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Path:
        chosen = dict(options or {})
        if backends:
            chosen["visualizer.vis_backends"] = [{"type": backend} for backend in backends]
        if stop is None:
            return run_training(config, folder, resume=resume, options=chosen)
        chosen["custom_hooks"] = [{"type": f"{__name__}.BreakOff", "at": stop}]
        with pytest.raises(RuntimeError, match="broken off"):
            run_training(config, folder, resume=resume, options=chosen)
        return folder

    return run


def wandb_rows(folder: Path) -> list[dict[str, str]]:
    """Of every offline start in a run's folder, in order: what was logged in one call, values as JSON."""
    import wandb
    from wandb.proto import wandb_internal_pb2

    wandb.teardown()  # its process may still be writing after `finish`
    rows = []
    for path in sorted(folder.glob("wandb/offline-run-*/*.wandb")):
        for data in _leveldb_records(path.read_bytes()):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(data)
            if record.WhichOneof("record_type") == "history":
                rows.append({"/".join(item.nested_key) or item.key: item.value_json for item in record.history.item})
    return rows


def _leveldb_records(data: bytes) -> Iterator[bytes]:
    """wandb's files are LevelDB logs (github.com/google/leveldb, doc/log_format.md) behind a header of 7 bytes."""
    block, place, record = 32768, 7, b""
    while place + 7 <= len(data):
        if (left := block - place % block) < 7:
            place += left
            continue
        _, length, kind = struct.unpack_from("<IHB", data, place)
        piece = data[place + 7 : place + 7 + length]
        place += 7 + length
        record = piece if kind in (1, 2) else record + piece  # full, first | middle, last
        if kind in (1, 4):
            yield record


def without_checkpoints(folder: Path) -> None:
    """As after a run that was killed before its first one: only there may a new run begin in the same folder."""
    for path in [*folder.glob("*.pth"), folder / "last_checkpoint"]:
        path.unlink()
