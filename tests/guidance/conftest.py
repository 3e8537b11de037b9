"""Tiny picture encoders on disk, written once; a test that changes files gets a copy."""

import shutil

import pytest

from tests.guidance.tiny_vision import write_clip, write_dino


@pytest.fixture(scope="session")
def vision(tmp_path_factory):
    """Layout -> folder. Not to be changed."""
    root = tmp_path_factory.mktemp("vision")
    return {
        "clip": write_clip(root / "clip"),
        "clip's tower": write_clip(root / "tower", both_towers=False),
        "dino": write_dino(root / "dino"),
        "dino in shards": write_dino(root / "shards", shards=True),
        "dino with registers": write_dino(root / "registers", registers=4),
    }


@pytest.fixture
def copy_of_vision(vision, tmp_path):
    """copy_of_vision("dino") -> a copy of that folder, to be changed."""
    return lambda layout: shutil.copytree(vision[layout], tmp_path / "copy")
