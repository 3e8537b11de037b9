"""Packages that are not really there: their dist-info alone, in front of everything installed."""

from collections.abc import Callable
from pathlib import Path

import pytest

Installed = Callable[..., None]


@pytest.fixture
def pretend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installed:
    """`pretend("mmcv", "2.2.0", requires=["torch>=2"])`: as if that distribution were installed."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))

    def lay_down(
        name: str, version: str, requires: tuple[str, ...] = (), python: str = "", extras: tuple[str, ...] = ()
    ) -> None:
        info = site / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        lines = [f"Requires-Dist: {line}" for line in requires] + [f"Provides-Extra: {line}" for line in extras]
        lines += [f"Requires-Python: {python}"] if python else []
        (info / "METADATA").write_text("\n".join(["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *lines, ""]))

    return lay_down
