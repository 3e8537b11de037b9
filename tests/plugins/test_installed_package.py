"""A package of somebody else, built and installed without network, is named in a config and trains."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.plugins.packages import ATTENTION
from tests.tools.conftest import Run, config, data, run_process  # noqa: F401  (fixtures)

PYPROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "their-attention"
version = "2.0"
description = "mean pooling as attention"

[project.entry-points."linearsr.attention"]
PooledAttention = "their_attention.pooled:PooledAttention"

[tool.setuptools]
packages = ["their_attention"]
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = tmp_path_factory.mktemp("their-attention")
    (source / "pyproject.toml").write_text(PYPROJECT)
    package = source / "their_attention"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "pooled.py").write_text(ATTENTION.format(name="PooledAttention"))
    assert "linearsr" not in (package / "pooled.py").read_text()
    target = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", str(target), str(source)], check=True, capture_output=True)
    return target


def test_it_trains_and_tests_by_its_name_in_a_config(run_process: Run, config: Path, site: Path, tmp_path: Path) -> None:  # noqa: F811
    path = config.with_name("theirs.py")
    path.write_text(f'_base_ = ["{config}"]\nmodel = dict(denoiser=dict(attention=dict(type="PooledAttention", rank=4)))\n')
    done = run_process("train.py", path, "--work-dir", "run", site=site)
    assert done.returncode == 0, done.stderr
    tested = run_process("test.py", path, "run", "--out", "out", site=site)
    assert tested.returncode == 0, tested.stderr
    assert (tmp_path / "out" / "metrics.json").is_file()


def test_its_keys_are_checked_and_it_is_listed(run_process: Run, config: Path, site: Path) -> None:  # noqa: F811
    done = run_process(
        "train.py",
        config,
        "--cfg-options",
        "model.denoiser.attention.type=PooledAttention",
        "model.denoiser.attention.rnk=4",
        site=site,
    )
    assert done.returncode == 2
    assert "PooledAttention has no key 'rnk'; did you mean 'rank'?" in done.stderr
    assert "their-attention 2.0" in run_process("list_components.py", site=site).stdout
