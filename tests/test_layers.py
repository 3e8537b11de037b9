"""The import contracts of pyproject.toml hold every module to something."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROOMS = {"data", "autoencoders", "backbones", "evaluation", "models", "engine"}
"""Of core; everything else in it is foundation."""


def test_every_file_of_core_outside_its_rooms_is_held_to_the_foundation() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (foundation,) = (one for one in contracts if one["name"] == "the foundation imports no room")
    found = {
        path.stem for path in (ROOT / "linearsr" / "core").iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()
    }
    assert {name.removeprefix("linearsr.core.") for name in foundation["source_modules"]} == found - ROOMS - {"__init__"}
