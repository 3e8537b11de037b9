"""docs/attention.md, an attention in a package of its own: its files are written and its commands run as they stand."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SECTION = (ROOT / "docs" / "attention.md").read_text().partition("\n## Your own\n")[2]

TINY = """
model["denoiser"].update(depth=1, width=16, head_width=8, lr_stem=dict(width=8, depth=1))
train_cfg = dict(max_iters=2, val_interval=2)
test_cfg = dict(num_steps=[1])
"""


def files() -> dict[str, str]:
    """By the path in each block's first line."""
    return dict(re.findall(r"```(?:python|toml)\n# (\S+)\n(.*?)```", SECTION, re.DOTALL))


def commands() -> list[str]:
    return [line for block in re.findall(r"```bash\n(.*?)```", SECTION, re.DOTALL) for line in block.splitlines()]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("their")
    (folder / "tools").symlink_to(ROOT / "tools")
    (folder / "configs").mkdir()
    for path in (ROOT / "configs").iterdir():
        (folder / "configs" / path.name).symlink_to(path)
    for path, body in files().items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(body + (TINY if path.startswith("configs/") else ""))
    return folder


def test_the_page_names_its_files_and_imports_nothing_of_ours() -> None:
    assert list(files()) == ["softplus_attention/attn.py", "pyproject.toml", "configs/softplus_x4.py"]
    assert "linearsr" not in files()["softplus_attention/attn.py"]


@pytest.mark.slow  # a quarter of a minute
def test_every_command_of_the_page_runs(place: Path) -> None:
    environment = os.environ | {"PYTHONPATH": f"{place / 'site'}{os.pathsep}{ROOT}", "OMP_NUM_THREADS": "1", "COLUMNS": "160"}
    install = f"{sys.executable} -m pip install --quiet --no-index --no-deps --no-build-isolation --target site"
    for command in commands():
        told = command.replace("pip install", install).replace("python tools", f"{sys.executable} tools")
        done = subprocess.run(told, shell=True, cwd=place, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    report = json.loads((place / "report.json").read_text())
    dense = [finding for finding in report["findings"] if "forward_dense" in finding["law"]]
    assert dense
    assert {finding["status"] for finding in dense} == {"passed"}
    assert (place / "work_dirs" / "softplus_x4" / "metrics.json").is_file()
