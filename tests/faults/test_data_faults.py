"""Data that is damaged before or during a run: what is lost is named, and the run goes on or ends with a message."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from linearsr.core.data import write_image
from linearsr.core.data.shard_writing import shards_from_folders
from tests.faults.conftest import EVERY, HARMLESS, Lab, custom_hooks

pytestmark = pytest.mark.slow
LIMIT = 'default_hooks = dict(lost_samples=dict(type="LostSamplesHook", limit={}))\n'


def variant(lab: Lab, path: Path, text: str) -> Lab:
    path.write_text(f'_base_ = ["{lab.config}"]\n{text}')
    return replace(lab, config=path, reference=path.with_name("straight"))


def photos_of(lab: Lab) -> Path:
    return lab.config.parent / "data"


def test_a_truncated_jpeg_among_good_ones(lab: Lab, tmp_path: Path, time: int) -> None:
    photos = shutil.copytree(photos_of(lab), tmp_path / "photos")
    write_image(photos / "p9.jpg", torch.rand(3, 24, 26, generator=torch.Generator().manual_seed(9)))
    content = (photos / "p9.jpg").read_bytes()
    (photos / "p9.jpg").write_bytes(content[: len(content) * (8 + time % 5) // 16])
    data = f'train_dataloader = dict(num_workers={2 * (time % 2)}, dataset=dict(root="{photos}"))\n'
    harmed = variant(lab, tmp_path / "harmed_data.py", data + LIMIT.format(0.5))

    straight = harmed.train(harmed.reference)
    assert straight.returncode == 0, straight.stderr
    said = straight.stdout + straight.stderr
    assert said.count("a training picture is lost") == 1
    assert "p9.jpg cannot be read as a picture" in said
    killed = harmed.train(tmp_path / "run", harm=f"KillAt, at={5 + time % 6}")
    assert killed.returncode == -9
    harmed.goes_on(tmp_path / "run")

    strict = variant(lab, tmp_path / "strict.py", data + LIMIT.format(0.0))
    ended = strict.train(tmp_path / "ended")
    assert ended.returncode == 2, ended.stderr
    assert "p9.jpg" in ended.stderr
    assert "more than the limit of 0.00%" in ended.stderr
    assert "Traceback" not in ended.stderr


def in_shards(lab: Lab, tmp_path: Path, limit: float) -> tuple[Lab, list[Path]]:
    """As `lab`, whose pictures lie in two shards; so its uninterrupted run is lab's own."""
    shards_from_folders(str(photos_of(lab)), str(tmp_path / "shards"), per_shard=2)
    text = f'train_dataloader = dict(dataset=dict(type="TarShards", root="{tmp_path / "shards"}"))\n' + LIMIT.format(limit)
    sharded = replace(variant(lab, tmp_path / "sharded.py", text), reference=lab.reference)
    return sharded, sorted((tmp_path / "shards").glob("*.tar"))


def test_a_shard_that_is_truncated_before_the_start(lab: Lab, tmp_path: Path, time: int) -> None:
    sharded, shards = in_shards(lab, tmp_path, 0.01)
    whole = shards[1].read_bytes()
    shards[1].write_bytes(whole[: len(whole) * (1 + time % 5) // 6])
    refused = sharded.train(tmp_path / "run")
    assert refused.returncode == 2, refused.stderr
    assert f"{shards[1]} is " in refused.stderr
    assert "copy it again" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "run").exists()
    shards[1].write_bytes(whole)
    assert sharded.train(tmp_path / "run").returncode == 0
    sharded.ended_alike(tmp_path / "run")


def test_a_shard_that_is_truncated_during_the_run(lab: Lab, tmp_path: Path, time: int) -> None:
    sharded, shards = in_shards(lab, tmp_path, 0.002)  # two of a thousand draws
    whole, workers = shards[1].read_bytes(), f"train_dataloader.num_workers={2 * (time % 2)}"
    text = sharded.config.read_text()
    cut = f'dict(type="tests.faults.data_hooks.CutFile", path="{shards[1]}", at={EVERY + 1 + time % 2})'
    sharded.config.write_text(text + custom_hooks(*HARMLESS).replace("]", f", {cut}]"))
    ended = sharded.train(tmp_path / "run", workers)
    assert ended.returncode == 2, ended.stderr
    assert f"{shards[1]}:p" in ended.stderr
    assert "more than the limit of 0.20%" in ended.stderr
    assert "Traceback" not in ended.stderr
    shards[1].write_bytes(whole)
    sharded.config.write_text(text)
    sharded.goes_on(tmp_path / "run", workers)
