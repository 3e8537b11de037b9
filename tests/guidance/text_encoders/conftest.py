"""Tiny encoders on disk, written once; a test that changes files gets a copy."""

import shutil

import pytest

from linearsr.guidance import CLIPTextEncoder, GemmaTextEncoder, MiniLMTextEncoder, T5TextEncoder
from tests.guidance.text_encoders.tiny import write_clip, write_gemma, write_t5


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    """Layout -> folder. Not to be changed."""
    root = tmp_path_factory.mktemp("encoders")
    return {
        "gemma": write_gemma(root / "gemma"),
        "gemma in shards": write_gemma(root / "shards", shards=True),
        "gemma in a pipeline": write_gemma(root / "gemma_pipeline", pipeline=True),
        "t5": write_t5(root / "t5"),
        "clip": write_clip(root / "clip"),
        "clip in a pipeline": write_clip(root / "clip_pipeline", pipeline=True),
    }


@pytest.fixture
def copy_of(folders, tmp_path):
    """copy_of("t5") -> a copy of that folder, to be changed."""
    return lambda layout: shutil.copytree(folders[layout], tmp_path / "copy")


@pytest.fixture(scope="session")
def encoders(folders):
    """One of each class."""
    return {
        "MiniLM": MiniLMTextEncoder(),
        "Gemma": GemmaTextEncoder(folders["gemma"]),
        "T5": T5TextEncoder(folders["t5"]),
        "CLIP": CLIPTextEncoder(folders["clip"]),
    }
