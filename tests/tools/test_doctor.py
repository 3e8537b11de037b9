"""tools/doctor.py from the command line: here, and on machines that are broken on purpose."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.plugins.packages import install
from tests.tools.conftest import ROOT, Run

AREAS = ["packages", "imports", "optional parts", "plugins", "devices", "several processes", "compiling", "machine"]


def test_here_nothing_needed_is_broken(run: Run) -> None:
    done = run("doctor.py")
    assert done.returncode == 0, done.stdout
    assert "nothing needed is broken" in done.stdout
    for words in (*AREAS, "mmengine", "0.10.7", "cpu bfloat16", "gloo", "LINEARSR_DATA", "shared memory", "photos"):
        assert words in done.stdout


def test_json_is_all_that_stdout_holds(run: Run) -> None:
    report = json.loads(run("doctor.py", "--json").stdout)
    assert list(report["findings"]) == AREAS
    assert report["healthy"] is True
    for found in report["findings"].values():
        for finding in found:
            assert sorted(finding) == ["detail", "mend", "name", "state"]


@pytest.mark.slow
def test_full_compiles(run_process: Run) -> None:
    done = run_process("doctor.py", "--full", "--json")
    assert "torch.compile on cpu" in [finding["name"] for finding in json.loads(done.stdout)["findings"]["compiling"]]


def ill(done: object, area: str) -> dict[str, dict[str, str]]:
    """Findings of an area that are not ok, by name; the machine is told broken, without a traceback."""
    assert done.returncode == 1, done.stderr  # type: ignore[attr-defined]
    assert "Traceback" not in done.stderr  # type: ignore[attr-defined]
    report = json.loads(done.stdout)  # type: ignore[attr-defined]
    assert report["healthy"] is False
    assert list(report["findings"]) == AREAS
    return {finding["name"]: finding for finding in report["findings"][area] if finding["state"] != "ok"}


def test_without_torch_all_else_is_examined(run_process: Run, tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "torch.py").write_text("raise ImportError('libtorch_cpu.so: cannot open shared object file')")
    done = run_process("doctor.py", "--json", site=site)
    imports = ill(done, "imports")
    assert imports["import torch"]["mend"].startswith("pip install --force-reinstall --no-deps torch==")
    assert imports["import mmengine.runner"]["mend"] == "mend torch first"
    assert ill(done, "devices")["devices"]["detail"].endswith("cannot open shared object file")
    assert "disk" in done.stdout


def test_a_server_without_libgl_is_told_what_to_install(run_process: Run, tmp_path: Path) -> None:
    site = tmp_path / "site"
    (site / "cv2").mkdir(parents=True)
    (site / "cv2" / "__init__.py").write_text(
        "raise ImportError('libGL.so.1: cannot open shared object file: No such file or directory')"
    )
    install(site, "ill_plugin", "ill_plugin", "import no_such_kernels", {"Ill": "ill_plugin:Ill"}, "linearsr.attention")
    done = run_process("doctor.py", "--json", site=site)
    imports = ill(done, "imports")
    assert imports["import cv2"]["mend"].startswith("apt-get install libgl1 libglib2.0-0, or ")
    assert imports["import mmengine.runner"]["mend"] == "mend cv2 first"
    assert "import torch" not in imports
    assert list(ill(done, "devices")) in (["cuda"], [])
    cv2 = imports["import cv2"]
    page = (ROOT / "docs" / "looking_in.md").read_text()
    assert f"imports: broken: import cv2: {cv2['detail']} -> {cv2['mend']}\n" in page


def test_both_mmcv_at_once_make_rc_1(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "site" / "mmcv-2.1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mmcv\nVersion: 2.1.0\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    done = run("doctor.py", "--json")
    assert list(ill(done, "packages")) == ["mmcv"]
    plain = run("doctor.py")
    assert plain.returncode == 1
    assert " -> pip uninstall -y mmcv mmcv-lite && pip install mmcv-lite==2.2.0" in plain.stdout


def test_on_a_bare_python_it_still_says_what_to_do(tmp_path: Path) -> None:
    """No package at all, not even those that the doctor prints and compares with."""
    script = str(ROOT / "tools" / "doctor.py")
    begin = f"sys.path.append({str(tmp_path)!r}); sys.argv = ['doctor.py']; runpy.run_path({script!r}, None, '__main__')"
    (tmp_path / "linearsr").symlink_to(ROOT / "linearsr")
    command = [sys.executable, "-I", "-S", "-c", f"import runpy, sys; {begin}"]  # -S: nothing that is installed is seen
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith(
        "packages: broken: linearsr: runs from its folder, but is not installed -> pip install --editable ."
    )
    assert {line.split(":")[0] for line in lines[:-1]} == {*AREAS} - {"optional parts"}  # whose names the metadata would know
    assert lines[-1].startswith("something needed is broken (")
