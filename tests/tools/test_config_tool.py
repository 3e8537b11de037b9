"""tools/config.py from the command line: what it prints and returns."""

import importlib.metadata
import io
import json
import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest
from rich.console import Console

from linearsr.core.inspection import ABSENT, Difference, explain, resolve
from linearsr.core.inspection.showing import show_differences, show_explanation
from tests.plugins.packages import ATTENTION, install
from tests.tools.conftest import ROOT, Run
from tests.tools.test_scripts import refused

QUICKSTART = ROOT / "configs" / "quickstart_x4.py"
MINI = ROOT / "configs" / "linearsr_mini_x4.py"


def test_explain_prints_what_is_known_of_a_key(run: Run) -> None:
    done = run("config.py", "explain", "model.denoiser.width", "--config", QUICKSTART)
    assert done.returncode == 0, done.stderr
    key, *rows = done.stdout.splitlines()
    assert key == "model.denoiser.width"
    assert [row.split()[0] for row in rows] == ["of", "set", "type", "default", "about", "source"]
    assert "64  in " in rows[1]
    assert "pixel_recipe_x4.py" in rows[1]
    assert "none: must be set" in rows[3]


def test_explain_takes_options_on_top_of_a_config(run: Run) -> None:
    option = "train_dataloader.batch_size=8"
    done = run("config.py", "explain", "train_dataloader.batch_size", "--config", QUICKSTART, "--cfg-options", option)
    assert "8  in --cfg-options train_dataloader.batch_size" in done.stdout
    refused(run("config.py", "explain", "LinearDiT", "--cfg-options", option), "--config")


def test_an_unknown_key_is_refused_in_one_line(run: Run) -> None:
    refused(run("config.py", "explain", "model.denoiser.dept", "--config", QUICKSTART), "did you mean 'depth'")
    refused(run("config.py", "explain", "LinarDiT"), "did you mean 'LinearDiT'")


def test_show_prints_a_config_that_shows_as_itself(run: Run, tmp_path: Path) -> None:
    done = run("config.py", "show", QUICKSTART, "--cfg-options", "model.denoiser.depth=3")
    assert done.returncode == 0, done.stderr
    (tmp_path / "shown.py").write_text(done.stdout)
    assert resolve(tmp_path / "shown.py").model.denoiser.depth == 3
    assert run("config.py", "show", "shown.py").stdout == done.stdout


def test_diff_prints_key_by_key_and_returns_1(run: Run, tmp_path: Path) -> None:
    child = tmp_path / "child.py"
    child.write_text(
        f'_base_ = ["{QUICKSTART}"]\nmodel = dict(denoiser=dict(depth=12, patch_size=1))\n'
        "default_hooks = dict(progress=None)\noptim_wrapper = dict(clip_grad=dict(_delete_=True, max_norm=1.0, norm_type=1))\n"
    )
    done = run("config.py", "diff", QUICKSTART, child)
    assert done.returncode == 1, done.stderr
    assert set(done.stdout.splitlines()) == {
        "model.denoiser.depth: 4 -> 12",
        "model.denoiser.patch_size: added 1",
        "optim_wrapper.clip_grad.norm_type: added 1",
        "default_hooks.progress: {'type': 'ProgressHook'} -> None",
    }
    back = run("config.py", "diff", child, QUICKSTART)
    assert "model.denoiser.patch_size: removed 1" in back.stdout.splitlines()


def test_diff_of_one_config_is_empty_and_returns_0(run: Run) -> None:
    for arguments in ((), ("--json",)):
        done = run("config.py", "diff", MINI, MINI, *arguments)
        assert (done.returncode, done.stdout.strip()) == (0, "[]" if arguments else "")


def test_diff_as_json(run: Run) -> None:
    done = run("config.py", "diff", QUICKSTART, MINI, "--json")
    assert done.returncode == 1
    found = {difference.pop("key"): difference for difference in json.loads(done.stdout)}
    assert found["model.denoiser.depth"] == {"change": "changed", "before": 4, "after": 8}
    assert found["model.autoencoder.sigma"] == {"change": "added", "after": 0.1}


def test_diff_refuses_what_holds_no_config_with_2(run: Run, tmp_path: Path) -> None:
    refused(run("config.py", "diff", QUICKSTART, "nowhere.py"), "there is no nowhere.py")
    refused(run("config.py", "show", tmp_path), "a run's folder holds one saved config")


def test_a_run_and_its_checkpoint_hold_the_config_that_was_trained(run: Run, config: Path) -> None:
    """The run adds where it lies, and nothing else."""
    option = ["--cfg-options", "train_cfg.max_iters=2", "train_cfg.val_interval=2"]
    trained = run("train.py", config, "--work-dir", "run", *option)
    assert trained.returncode == 0, trained.stderr
    for source in ("run", "run/iter_2.pth"):
        done = run("config.py", "diff", config, source)
        assert done.returncode == 1, done.stderr
        changed = {line.partition(":")[0] for line in done.stdout.splitlines()}
        assert {"train_cfg.max_iters", "train_cfg.val_interval"} <= changed
        assert not any(key.startswith(("model", "optim_wrapper", "randomness")) for key in changed)
    assert run("config.py", "diff", "run", "run/iter_2.pth").returncode == 0
    shown = run("config.py", "explain", "model.denoiser.depth", "--config", "run")
    assert "set to" in shown.stdout
    assert shown.returncode == 0


def test_as_a_script_it_finds_plugins_and_its_folder_shadows_nothing(run_process: Run, tmp_path: Path) -> None:
    entry = {"Pooled": "pooled_mod:Pooled"}
    site = install(tmp_path / "site", "pooled_pkg", "pooled_mod", ATTENTION.format(name="Pooled"), entry, "linearsr.attention")
    done = run_process("config.py", "explain", "Pooled.rank", site=site)
    assert done.returncode == 0, done.stderr
    assert "Pooled: Mean pooling: every token gets the same mixture" in done.stdout
    ours = {path.stem for path in (ROOT / "tools").glob("*.py")}  # Python puts them before what is installed
    assert ours & {*importlib.metadata.packages_distributions(), *sys.stdlib_module_names} <= {"test"}


def console(width: int = 100) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=width, color_system="standard")


def test_on_a_terminal_differences_are_a_table_in_colours() -> None:
    screen = console()
    found = [Difference(("a", "b"), 4, 12), Difference(("new",), ABSENT, "[red]"), Difference(("old", 0), None, ABSENT)]
    show_differences(found, ("one.py", "two.py"), screen)
    text = screen.file.getvalue()  # type: ignore[attr-defined]
    assert "one.py" in text
    for colour, key in (("\x1b[33m", "a.b"), ("\x1b[32m", "new"), ("\x1b[31m", "old.0")):
        assert any(colour in line and key in line for line in text.splitlines()), key
    assert "'[red]'" in text  # a value is no markup
    show_differences([], ("one.py", "two.py"), screen)
    assert "no difference" in screen.file.getvalue()  # type: ignore[attr-defined]


def test_on_a_narrow_terminal_an_explanation_is_folded_beside_its_labels() -> None:
    screen = console(60)
    show_explanation(explain("LinearDiT.width"), screen)
    lines = screen.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert len(lines) > 8
    assert all(len(line) < 90 for line in lines)  # 60, and what sets the colour


@pytest.mark.parametrize("words", [(), ("--help",), ("explain", "--help"), ("explain",)])
def test_help_and_misuse_say_how_it_is_used(run: Run, words: tuple[str, ...]) -> None:
    done = run("config.py", *words)
    assert done.returncode == (0 if "--help" in words else 2)
    assert "usage:" in done.stdout + done.stderr


PAGE = (ROOT / "docs" / "looking_in.md").read_text()
DEEPER = 'model = dict(denoiser=dict(depth=12, cross_qk_norm=True), solver=dict(type="Heun"))\ntest_cfg = dict(num_steps=[1])\n'


def examples() -> list[tuple[str, list[str]]]:
    """(command, lines that the page shows for it)"""
    blocks = re.findall(r"^```console\n(.*?)^```", PAGE, re.M | re.S)
    commands = [example.splitlines() for block in blocks for example in re.split(r"^\$ ", block, flags=re.M)[1:]]
    return [(command, lines) for command, *lines in commands if command.startswith("python tools/config.py")]


def lasting(line: str) -> str:
    return re.sub(r"^(  (?:of|about|source) ).*", r"\1", line)


@pytest.mark.parametrize(("command", "shown"), examples(), ids=[command for command, _ in examples()])
def test_the_page_shows_what_is_printed(run: Run, tmp_path: Path, command: str, shown: list[str]) -> None:
    """All but what docstrings say and where they stand, which is told as it is now."""
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    (tmp_path / "deeper.py").write_text(f'_base_ = ["configs/quickstart_x4.py"]\n{DEEPER}')
    done = run("config.py", *shlex.split(command)[2:])
    printed = (done.stdout + done.stderr).splitlines()
    assert [lasting(line) for line in printed] == [lasting(line) for line in shown]
    assert done.returncode == {"error": 2, "test_": 1}.get(shown[0][:5], 0)


@pytest.mark.parametrize(
    ("key", "words"),
    [("attention", "an attention: "), ("lr_stem", "an LR stem: "), ("router", "a router: "), ("ConvStem", "an LR stem; ")],
)
def test_kinds_have_their_articles(run: Run, key: str, words: str) -> None:
    assert f"  {words}" in run("config.py", "explain", key).stdout
